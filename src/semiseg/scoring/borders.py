"""Pixels near a border between two classes: a band of a given width."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.base.labels import IGNORE
from semiseg.scoring.confusion import confusion_matrices
from semiseg.scoring.widths import BORDER_SHARE

AFFECTS_RESULTS = False


def width(size: tuple[int, int]) -> int:
    """Width of the band on each side in pixels, at least one."""
    return max(1, round(BORDER_SHARE * math.hypot(*size)))


def near_borders(label: Tensor) -> Tensor:
    """bool [B,H,W]: labelled pixels within `width` (in the largest coordinate) of a pixel of another class.

    A border with ignored pixels does not count: such pixels are drawn around objects whose outline is uncertain. Across
    a thin ignored outline the two classes still count as neighbours.
    """
    reach = width(label.shape[-2:])
    known = label != IGNORE
    label = label.to(torch.uint8)
    largest = _largest(torch.where(known, label + 1, 0), reach)
    smallest = IGNORE - _largest(torch.where(known, IGNORE - label, 0), reach)
    return known & (largest != smallest + 1)


def matrices(prediction: Tensor, label: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Confusion matrices [B,K,K] of all pixels, and of those near borders.

    In one pass if there are few enough classes.
    """
    near = near_borders(label)
    if 2 * classes > IGNORE:
        inside = torch.where(near, label, IGNORE)
        return confusion_matrices(prediction, label, classes), confusion_matrices(prediction, inside, classes)
    both = confusion_matrices(prediction, torch.where(near, label + classes, label), classes, 2 * classes)
    return both.view(len(both), 2, classes, classes).sum(1), both[:, classes:]


def _largest(values: Tensor, reach: int) -> Tensor:
    """Largest value of the square around each pixel; 0 beyond the image."""
    return _along(_along(values, reach).transpose(-1, -2), reach).transpose(-1, -2)


def _along(values: Tensor, reach: int) -> Tensor:
    """Largest value of the 2 reach + 1 neighbours in a row, computed from windows of doubling size."""
    side, window = 2 * reach + 1, 1
    found = F.pad(values, (reach, reach))
    while 2 * window <= side:
        found = torch.maximum(found[..., :-window], found[..., window:])
        window *= 2
    rest = side - window
    return torch.maximum(found[..., :-rest], found[..., rest:]) if rest else found
