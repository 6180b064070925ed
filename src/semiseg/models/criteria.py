"""Criteria for labelled images. All compute in float32, whatever autocast is on, and none waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE = 255


def _pixel_cross_entropy(logits: Tensor, label: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every pixel (0 where ignored) and which pixels are valid."""
    with torch.autocast(logits.device.type, enabled=False):
        return F.cross_entropy(logits.float(), label, ignore_index=ignore, reduction="none"), label != ignore


def cross_entropy(logits: Tensor, label: Tensor, ignore: int = IGNORE) -> Tensor:
    """Mean cross-entropy over the valid pixels of the batch; 0 where there is none."""
    loss, valid = _pixel_cross_entropy(logits, label, ignore)
    return loss.sum() / valid.sum().clamp(min=1)


def ohem(logits: Tensor, label: Tensor, thresh: float = 0.7, min_kept: int = 100_000, ignore: int = IGNORE) -> Tensor:
    """Online hard example mining: the mean over valid pixels whose true class has at most the threshold's probability.

    The threshold is `thresh`, or the `min_kept`-th smallest probability of the batch where that is larger, so that at
    least `min_kept` pixels count. As in the code of iMAS and UniMatch, ignored pixels rank as probability 1, all valid
    pixels are kept when there are fewer than `min_kept` of them, and `min_kept = 0` is plain cross-entropy.
    """
    loss, valid = _pixel_cross_entropy(logits, label, ignore)
    if min_kept == 0:
        return loss.sum() / valid.sum().clamp(min=1)
    probability = torch.exp(-loss.detach()).masked_fill(~valid, 1.0)
    rank = min(min_kept, probability.numel())
    threshold = torch.kthvalue(probability.flatten(), rank).values.clamp(min=thresh)
    threshold = torch.where(valid.sum() >= min_kept, threshold, torch.ones_like(threshold))
    kept = valid & (probability <= threshold)
    return (loss * kept).sum() / kept.sum().clamp(min=1)


def boundary_relaxed(logits: Tensor, label: Tensor, window: int = 3, ignore: int = IGNORE) -> Tensor:
    """Boundary label relaxation (Zhu et al. 2019, eq. 2): -log of the summed probability of the classes in the window.

    A valid pixel counts as right when it is given to any class that its window x window neighbourhood holds; away from
    boundaries this is cross-entropy. Ignored neighbours add no class; the mean is over valid pixels.
    """
    classes = logits.shape[1]
    valid = label != ignore
    with torch.no_grad():
        # Ignored pixels go to an extra class that is cut off again.
        shape = (label.shape[0], classes + 1, *label.shape[1:])
        present = torch.zeros(shape, device=label.device).scatter_(1, label.masked_fill(~valid, classes)[:, None], 1.0)
        near = F.max_pool2d(present[:, :classes], window, stride=1, padding=window // 2) > 0
    with torch.autocast(logits.device.type, enabled=False):
        log_probability = F.log_softmax(logits.float(), dim=1)
        # An ignored pixel may have no class near: a finite floor keeps its gradient free of NaN before it is masked.
        allowed = torch.where(near, log_probability, torch.full_like(log_probability, torch.finfo(torch.float32).min))
        loss = -torch.logsumexp(allowed, dim=1)
        return torch.where(valid, loss, torch.zeros_like(loss)).sum() / valid.sum().clamp(min=1)
