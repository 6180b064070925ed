"""Criteria for labelled images. All compute in float32, also under autocast, and the host never waits.

Each is a mean over pixels. `mean` computes it from sum and number; the engine's version averages over all processes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from semiseg.base.labels import IGNORE

SMOOTH = 1.0  # pixels added to both sides of a Dice coefficient, so that a class with few pixels does not dominate
Mean = Callable[[Tensor, Tensor], Tensor]


def ratio(total: Tensor, count: Tensor) -> Tensor:
    """The mean within one process; 0 if nothing counts."""
    return total / count.clamp(min=1)


def one_hot(label: Tensor, classes: int, ignore: int = IGNORE) -> Tensor:
    """One-hot float maps [B, C, H, W] of labels [B, H, W]; all 0 at ignored pixels."""
    # Ignored pixels go to an extra class, which is removed again.
    maps = torch.zeros((label.shape[0], classes + 1, *label.shape[1:]), device=label.device)
    inside = label.masked_fill(label == ignore, classes)
    return maps.scatter_(1, inside[:, None], 1.0)[:, :classes]


def cross_entropy(
    logits: Tensor, label: Tensor, ignore: int = IGNORE, mean: Mean = ratio, weights: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of the batch's valid pixels; 0 without valid pixels."""
    return _mean(_pixel_losses(logits, label, ignore), label != ignore, label, mean, weights)


def ohem(
    logits: Tensor,
    label: Tensor,
    thresh: float = 0.7,
    min_kept: int = 100_000,
    ignore: int = IGNORE,
    mean: Mean = ratio,
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
    weights: Tensor | None = None,
) -> Tensor:
    """Online hard example mining: cross-entropy over pixels whose true class has at most the threshold's probability.

    The threshold is the larger of `thresh` and the `min_kept`-th smallest probability of the batch, so that at
    least `min_kept` pixels count. As in the code of iMAS and UniMatch, ignored pixels rank as probability 1, all valid
    pixels are kept when there are fewer than `min_kept` of them, and `min_kept = 0` is plain cross-entropy. Pixels
    of all processes are ranked together (`gather`): the number of GPUs does not change which pixels are hard.
    """
    if min_kept == 0:
        return cross_entropy(logits, label, ignore, mean, weights)
    valid = label != ignore
    losses = _pixel_losses(logits, label, ignore)
    probability = torch.exp(-losses.detach()).masked_fill(~valid, 1.0)
    everyones = gather(probability).flatten()
    threshold = kth_smallest(everyones, min(min_kept, everyones.numel())).clamp(min=thresh)
    enough = gather(valid.sum()[None]).sum() >= min_kept
    kept = valid & ((probability <= threshold) | ~enough)
    return _mean(losses, kept, label, mean, weights)


def kth_smallest(values: Tensor, k: int) -> Tensor:
    """The k-th smallest value. On a GPU kthvalue would use a single block of threads; topk uses many."""
    if values.is_cuda:
        return torch.topk(values, k, largest=False, sorted=False).values.amax()
    return torch.kthvalue(values, k).values


def boundary_relaxed(
    logits: Tensor,
    label: Tensor,
    window: int = 3,
    ignore: int = IGNORE,
    mean: Mean = ratio,
    weights: Tensor | None = None,
) -> Tensor:
    """Boundary label relaxation (Zhu et al. 2019): -log of the summed probability of the classes in the window.

    A valid pixel may have any class that occurs in its window x window neighbourhood; away from boundaries this is
    cross-entropy. Ignored neighbours add no class.
    """
    with torch.autocast(logits.device.type, enabled=False):
        near = F.max_pool2d(one_hot(label, logits.shape[1], ignore), window, stride=1, padding=window // 2) > 0
        log_probability = F.log_softmax(logits.float(), dim=1)
        # A pixel among ignored pixels has no class nearby; a finite floor keeps NaN out of its gradient until it is
        # masked.
        allowed = log_probability.masked_fill(~near, torch.finfo(torch.float32).min)
        losses = -torch.logsumexp(allowed, dim=1)
        return _mean(losses, label != ignore, label, mean, weights)


def soft_dice(
    logits: Tensor, label: Tensor, ignore: int = IGNORE, total: Callable[[Tensor], Tensor] = lambda values: values
) -> Tensor:
    """1 - mean over classes of the soft Dice coefficient (Milletari et al. 2016, with plain sums below).

    Sums run over the valid pixels of the whole batch; `total` adds those of all processes. Classes without a label in
    the batch do not count; a batch without valid pixels gives 0.
    """
    with torch.autocast(logits.device.type, enabled=False):
        truth = one_hot(label, logits.shape[1], ignore)
        probability = logits.float().softmax(1) * (label != ignore)[:, None]
        over = (0, 2, 3)
        common, predicted, true = total(
            torch.stack([(probability * truth).sum(over), probability.sum(over), truth.sum(over)])
        )
        coefficient = (2 * common + SMOOTH) / (predicted + true + SMOOTH)
        present = (true > 0).float()
        return ((1 - coefficient) * present).sum() / present.sum().clamp(min=1)


def class_weights(counts: Tensor) -> Tensor:
    """Class weights sqrt(median pixels / pixels of the class); 1 for a class without pixels.

    Median frequency balancing (Eigen & Fergus 2015) without the root lets a class of 0.5 % outweigh all others.
    """
    counts = counts.double()
    present = counts > 0
    if not present.any():
        return torch.ones_like(counts, dtype=torch.float32)
    weights = (counts[present].quantile(0.5) / counts.clamp(min=1)).sqrt()
    return torch.where(present, weights, 1.0).float()


def _mean(losses: Tensor, kept: Tensor, label: Tensor, mean: Mean, weights: Tensor | None) -> Tensor:
    """The weighted mean over the kept pixels, with the weight of each pixel's class."""
    if weights is None:
        return mean(losses.masked_fill(~kept, 0.0).sum(), kept.sum())
    share = weights[label.clamp(max=len(weights) - 1)] * kept
    return mean((losses.masked_fill(~kept, 0.0) * share).sum(), share.sum())


def _pixel_losses(logits: Tensor, label: Tensor, ignore: int) -> Tensor:
    """Cross-entropy of every pixel, 0 at ignored pixels."""
    with torch.autocast(logits.device.type, enabled=False):
        return F.cross_entropy(logits.float(), label, ignore_index=ignore, reduction="none")
