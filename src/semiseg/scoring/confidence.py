"""Histograms of confidence, separately for right and wrong pixels, for calibration and error detection."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.scoring.confusion import count
from semiseg.scoring.widths import BINS

AFFECTS_RESULTS = False

_CELLS = 2 * BINS + 1  # cells per image: wrong, right, and one for pixels without a label


def histograms(prediction: Tensor, confidence: Tensor, label: Tensor, classes: int) -> Tensor:
    """int64 [B,2,BINS] of maps [B,H,W]: wrong and right pixels by confidence; labels of K or more are not counted."""
    dtype = torch.int16 if len(label) * _CELLS <= torch.iinfo(torch.int16).max else torch.int32
    bins = (1 - confidence).clamp_(min=0).sqrt_().mul_(-BINS).add_(BINS).to(dtype).clamp_(max=BINS - 1)
    bins.add_((prediction.to(label.dtype) == label).to(dtype), alpha=BINS)
    bins.masked_fill_(label >= classes, 2 * BINS)
    bins.add_(torch.arange(len(bins), dtype=dtype, device=bins.device)[:, None, None] * _CELLS)
    counts = count(bins.flatten(), len(bins) * _CELLS).view(len(bins), _CELLS)
    return counts[:, : 2 * BINS].reshape(-1, 2, BINS)
