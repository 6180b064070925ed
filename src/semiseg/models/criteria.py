"""Criteria for labelled images. All compute in float32, whatever autocast is on, and none waits for the device.

Each is a mean over pixels. `mean` makes it from their sum and their number; with several processes the engine's gives
the mean over all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from semiseg.base.labels import IGNORE

Mean = Callable[[Tensor, Tensor], Tensor]


def ratio(total: Tensor, count: Tensor) -> Tensor:
    """The mean within one process; 0 where nothing counts."""
    return total / count.clamp(min=1)


def one_hot(label: Tensor, classes: int, ignore: int = IGNORE) -> Tensor:
    """Float maps [B, C, H, W] of labels [B, H, W]; all 0 where ignored."""
    # Ignored pixels go to an extra class, which is cut off again.
    maps = torch.zeros((label.shape[0], classes + 1, *label.shape[1:]), device=label.device)
    inside = label.masked_fill(label == ignore, classes)
    return maps.scatter_(1, inside[:, None], 1.0)[:, :classes]


def cross_entropy(logits: Tensor, label: Tensor, ignore: int = IGNORE, mean: Mean = ratio) -> Tensor:
    """Cross-entropy over the valid pixels of the batch; 0 where there is none."""
    return mean(_pixel_losses(logits, label, ignore).sum(), (label != ignore).sum())


def ohem(
    logits: Tensor,
    label: Tensor,
    thresh: float = 0.7,
    min_kept: int = 100_000,
    ignore: int = IGNORE,
    mean: Mean = ratio,
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
) -> Tensor:
    """Online hard example mining: cross-entropy over pixels whose true class has at most the threshold's probability.

    The threshold is `thresh`, or the `min_kept`-th smallest probability of the batch where that is larger, so that at
    least `min_kept` pixels count. As in the code of iMAS and UniMatch, ignored pixels rank as probability 1, all valid
    pixels are kept when there are fewer than `min_kept` of them, and `min_kept = 0` is plain cross-entropy. All
    processes' pixels are ranked together (`gather`): the number of GPUs does not change which pixels are hard.
    """
    if min_kept == 0:
        return cross_entropy(logits, label, ignore, mean)
    valid = label != ignore
    losses = _pixel_losses(logits, label, ignore)
    probability = torch.exp(-losses.detach()).masked_fill(~valid, 1.0)
    everyones = gather(probability).flatten()
    threshold = torch.kthvalue(everyones, min(min_kept, everyones.numel())).values.clamp(min=thresh)
    enough = gather(valid.sum()[None]).sum() >= min_kept
    kept = valid & ((probability <= threshold) | ~enough)
    return mean((losses * kept).sum(), kept.sum())


def boundary_relaxed(
    logits: Tensor, label: Tensor, window: int = 3, ignore: int = IGNORE, mean: Mean = ratio
) -> Tensor:
    """Boundary label relaxation (Zhu et al. 2019): -log of the summed probability of the classes in the window.

    A valid pixel counts as right when it is given to any class that its window x window neighbourhood holds; away from
    boundaries this is cross-entropy. Ignored neighbours add no class.
    """
    with torch.autocast(logits.device.type, enabled=False):
        near = F.max_pool2d(one_hot(label, logits.shape[1], ignore), window, stride=1, padding=window // 2) > 0
        log_probability = F.log_softmax(logits.float(), dim=1)
        # A pixel amid ignored ones has no class near: a finite floor keeps NaN out of its gradient until it is masked.
        allowed = log_probability.masked_fill(~near, torch.finfo(torch.float32).min)
        losses = -torch.logsumexp(allowed, dim=1)
        valid = label != ignore
        return mean(losses.masked_fill(~valid, 0.0).sum(), valid.sum())


def _pixel_losses(logits: Tensor, label: Tensor, ignore: int) -> Tensor:
    """Cross-entropy of every pixel, 0 where ignored."""
    with torch.autocast(logits.device.type, enabled=False):
        return F.cross_entropy(logits.float(), label, ignore_index=ignore, reduction="none")
