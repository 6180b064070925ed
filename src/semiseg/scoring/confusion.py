"""Confusion matrices of label maps on any device."""

from __future__ import annotations

import torch
from torch import Tensor

_LABELS = 256  # every byte value has a row, so ignored pixels need no test; their rows are dropped
_CACHE = 2**17  # number of pixels whose indices fit into a core's second-level cache


def confusion_matrices(prediction: Tensor, label: Tensor, classes: int, rows: int | None = None) -> Tensor:
    """int64 [B,R,K], rows truth, columns prediction, of maps [B,H,W]; labels of R or more (255) are not counted.

    R is K by default, or `rows` if labels distinguish more than the classes. Predictions must be classes. The host does
    not wait for the device.
    """
    rows = classes if rows is None else rows
    together = len(label) if label.is_cuda else _images_at_once(label[0].numel(), classes)
    pairs = zip(prediction.split(together), label.split(together), strict=True)
    return torch.cat([_matrices(part, truth, classes)[:, :rows] for part, truth in pairs])


def _images_at_once(pixels: int, classes: int) -> int:
    """Number of images per chunk.

    Cells then need only 16-bit indices, which fit into the cache: twice as fast on a CPU.
    """
    return max(1, min(_CACHE // pixels, torch.iinfo(torch.int16).max // (_LABELS * classes)))


def _matrices(prediction: Tensor, label: Tensor, classes: int) -> Tensor:
    images, cells = len(label), _LABELS * classes
    dtype = torch.int16 if images * cells <= torch.iinfo(torch.int16).max else torch.int32
    index = label.to(dtype, copy=True).mul_(classes).add_(prediction)
    if images > 1:
        index.add_(torch.arange(images, dtype=dtype, device=index.device)[:, None, None] * cells)
    return count(index.flatten(), images * cells).view(images, _LABELS, classes)


def count(index: Tensor, cells: int) -> Tensor:
    """How often each of the numbers 0 to `cells` - 1 occurs, int64 [cells]."""
    if not index.is_cuda:
        return torch.bincount(index, minlength=cells)
    # torch.bincount on a GPU reads the largest index, so the host would wait.
    counts = torch.zeros(cells, dtype=torch.int64, device=index.device)
    return counts.scatter_add_(0, index.long(), torch.ones((), dtype=torch.int64, device=index.device).expand_as(index))
