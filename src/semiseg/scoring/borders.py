"""Pixels near a border between two classes, as a band of a stated width."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.base.labels import IGNORE

AFFECTS_RESULTS = False

SHARE = 0.01  # of the image's diagonal: the band reaches so far on both sides of a border


def width(size: tuple[int, int]) -> int:
    """Pixels on each side of a border, at least one."""
    return max(1, round(SHARE * math.hypot(*size)))


def near_borders(label: Tensor) -> Tensor:
    """bool [B,H,W]: labelled pixels within `width` (in the largest coordinate) of a pixel of another class.

    A border with ignored pixels is none: they are drawn around objects because nobody knows what is there. Across a
    thin ignored outline the two classes still see each other.
    """
    reach = width(label.shape[-2:])
    known = label != IGNORE
    values = label.to(torch.float32)
    largest = _largest(torch.where(known, values, -1.0), reach)
    smallest = -_largest(torch.where(known, -values, -float(IGNORE) - 1), reach)
    return known & (largest != smallest)


def _largest(values: Tensor, reach: int) -> Tensor:
    """Largest value of the square around each pixel, one direction after the other."""
    side = 2 * reach + 1
    across = F.max_pool2d(values[:, None], (1, side), stride=1, padding=(0, reach))
    return F.max_pool2d(across, (side, 1), stride=1, padding=(reach, 0))[:, 0]
