"""Boxes of CutMix as in the official code of each method, and the paste operation.

Boxes are int64 [B,4] (top, left, bottom, right), one past the last row and column, drawn on the host; a box of no area
means that the sample is not mixed. Of several boxes per sample, [B,N,4], pairs cancel where they overlap.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from semiseg.feed.draws import Draws
from semiseg.feed.transfer import to_device

Size = tuple[int, int]  # height, width
_TRIES = 16


def unimatch_boxes(
    draws: Draws,
    stream: str,
    size: Size,
    p: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
) -> Tensor:
    """With probability p, a box with a uniform share of the area; ratio and place are drawn again until the box fits.

    As in UniMatch, the ratio (height to width, in units of the crop) is uniform and not log-uniform. Boxes are taller
    than wide, also because wide boxes are rejected more often.
    """
    numbers = draws.uniform(stream, 2)
    share = area[0] + (area[1] - area[0]) * numbers[:, 1]
    boxes = np.zeros((len(draws), 4), np.int64)
    waiting = np.flatnonzero(numbers[:, 0] < p)
    attempt = 0
    while len(waiting):
        found, fits = _try_boxes(draws.subset(waiting), f"{stream}/{attempt}", size, share[waiting], ratio)
        boxes[waiting[fits]] = found[fits]
        waiting = waiting[~fits]
        attempt += 1
    return torch.from_numpy(boxes)


def _try_boxes(
    draws: Draws, stream: str, size: Size, share: np.ndarray, ratio: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """For each sample, the first candidate that lies inside the image, and whether there is one."""
    u = draws.uniform(stream, 3 * _TRIES).reshape(-1, _TRIES, 3)
    ratios = ratio[0] + (ratio[1] - ratio[0]) * u[..., 0]
    sides = np.stack((np.sqrt(share[:, None] * ratios), np.sqrt(share[:, None] / ratios)), axis=-1)
    extent = np.floor(sides * size).astype(np.int64)
    corner = np.floor(u[..., 1:] * size).astype(np.int64)
    inside = (corner + extent <= np.array(size)).all(-1)
    rows, first = np.arange(len(u)), inside.argmax(1)
    return np.concatenate((corner, corner + extent), axis=-1)[rows, first], inside[rows, first]


def fixed_area_boxes(draws: Draws, stream: str, size: Size, area: float = 0.5) -> Tensor:
    """CutMix-Seg (French et al., BMVC 2020): one box of this share inside the image, with log-uniform sides."""
    return torch.from_numpy(_log_uniform_boxes(draws, stream, size, (area, area), 1)[:, 0])


def half_boxes(draws: Draws, stream: str, size: Size) -> Tensor:
    """U2PL: one box of half the area inside the image; its width is uniform above half of the image's width."""
    height, width = size
    u = draws.uniform(stream, 3)
    least = min(width // 2 + 1, width - 1)
    wide = least + np.floor(u[:, 0] * (width - least)).astype(np.int64)
    high = np.round(height * width / 2 / wide).astype(np.int64)
    extent = np.stack((high, wide), axis=1)
    corner = np.floor(u[:, 1:] * (np.array(size) - extent + 1)).astype(np.int64)
    return torch.from_numpy(np.concatenate((corner, corner + extent), axis=1))


def cps_boxes(
    draws: Draws, stream: str, size: Size, count: int = 3, proportion: tuple[float, float] = (0.25, 0.5)
) -> Tensor:
    """CPS: `count` boxes [B,N,4] with a uniform total share of the area; overlaps count twice."""
    return torch.from_numpy(_log_uniform_boxes(draws, stream, size, proportion, count))


def _log_uniform_boxes(draws: Draws, stream: str, size: Size, share: tuple[float, float], count: int) -> np.ndarray:
    u = draws.uniform(stream, 4 * count).reshape(-1, count, 4)
    shares = share[0] + (share[1] - share[0]) * u[..., 0]
    height = shares ** u[..., 1]
    sides = np.stack((height, shares / height), axis=-1) / np.sqrt(count)
    extent = np.round(sides * size).astype(np.int64)
    corner = np.round((np.array(size) - extent) * u[..., 2:]).astype(np.int64)
    return np.concatenate((corner, corner + extent), axis=-1)


def imas_boxes(draws: Draws, stream: str, size: Size, side: tuple[float, float] = (0.1, 0.9)) -> Tensor:
    """iMAS: one side ratio for the batch, one centre per sample; boxes are cut off at the border."""
    ratio = side[0] + (side[1] - side[0]) * draws.shared(f"{stream}/side")[0]
    return _centred_boxes(draws, stream, size, ratio, margin=16)


def augseg_boxes(draws: Draws, stream: str, size: Size, beta: tuple[float, float] = (4, 4)) -> Tensor:
    """AugSeg: the share is 1 - lambda, with one lambda ~ Beta for the batch; Beta(8, 2) for labelled patches."""
    kept = betaincinv(*beta, draws.shared(f"{stream}/side")[0])
    return _centred_boxes(draws, stream, size, float(np.sqrt(1 - kept)), margin=8)


def _centred_boxes(draws: Draws, stream: str, size: Size, side: float, margin: int) -> Tensor:
    """Centres in [size / margin, size): the official code has a margin at the upper and left border only."""
    extent = np.array(size)
    low = extent // margin
    centre = low + np.floor(draws.uniform(stream, 2) * (extent - low)).astype(np.int64)
    half = (side * extent).astype(np.int64) // 2
    return torch.from_numpy(np.concatenate((np.maximum(centre - half, 0), np.minimum(centre + half, extent)), axis=1))


def mask(boxes: Tensor, size: Size, device: torch.device | str = "cpu") -> Tensor:
    """bool [B,H,W] on `device`: True inside the box, or inside an odd number of several."""
    edges = to_device(boxes.numpy(), device).reshape(len(boxes), -1, 4, 1, 1)
    rows = torch.arange(size[0], device=edges.device)[:, None]
    columns = torch.arange(size[1], device=edges.device)
    top, left, bottom, right = edges.unbind(2)
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return inside[:, 0] if inside.shape[1] == 1 else inside.sum(1).bitwise_and(1).bool()


def paste(base: Tensor, donor: Tensor, mask: Tensor) -> Tensor:
    """`donor` inside the mask, `base` outside; [B,H,W] or, with the mask repeated over channels, [B,C,H,W]."""
    return torch.where(mask if base.dim() == 3 else mask[:, None], donor, base)
