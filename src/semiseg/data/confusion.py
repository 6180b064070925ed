"""Confusion matrices of label maps, wherever they lie."""

from __future__ import annotations

import torch
from torch import Tensor

_LABELS = 256  # every byte has a row to count in, so that ignored pixels need no test: their rows are dropped


def confusion_matrices(prediction: Tensor, label: Tensor, classes: int) -> Tensor:
    """int64 [B,K,K], rows truth, columns prediction, of maps [B,H,W]; labels of K or more (255) are not counted.

    Predictions must be classes. The host does not wait for the device.
    """
    cells = _LABELS * classes
    index = (label.to(torch.int32) * classes).add_(prediction)
    index.add_(torch.arange(len(label), dtype=torch.int32, device=index.device)[:, None, None] * cells)
    counts = _count(index.flatten(), len(label) * cells)
    return counts.view(len(label), _LABELS, classes)[:, :classes]


def _count(index: Tensor, cells: int) -> Tensor:
    if index.device.type == "cpu":
        return torch.bincount(index, minlength=cells)
    # torch.bincount on a GPU asks for the largest index, and the host waits for the answer.
    counts = torch.zeros(cells, dtype=torch.int64, device=index.device)
    return counts.scatter_add_(0, index.long(), torch.ones((), dtype=torch.int64, device=index.device).expand_as(index))
