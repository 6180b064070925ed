"""PIL's filters on a batch of pixels: Gaussian blur and sharpness, with one parameter per sample."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from semiseg.views.colour import blend

PASSES = 3
TILE = 64


def box_taps(sigma: np.ndarray) -> np.ndarray:
    """The taps of one of the three box filters of fractional width that form PIL's Gaussian blur, float32 [B, 2 r + 1].

    Gwosdek et al., "Theoretical foundations of Gaussian convolution by extended box filtering", SSVM 2011.
    """
    variance = np.asarray(sigma, np.float64) ** 2 / PASSES
    whole = np.floor((np.sqrt(12 * variance + 1) - 1) / 2)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    radius = whole + part
    reach = int(radius.max(initial=0)) + 1
    # Pixels inside the box have weight 1 up to the distance `whole`; the next pixel has the weight `part`.
    inside = np.clip(radius[:, None] + 1 - np.abs(np.arange(-reach, reach + 1)), 0, 1)
    return (inside / (2 * radius[:, None] + 1)).astype(np.float32)


def gaussian_blur(pixels: Tensor, taps: Tensor) -> Tensor:
    """Blur by the boxes of `box_taps`, as matrix products, one matrix per sample and direction.

    A box pass with PIL's border rule (the outermost pixel repeats) is linear, so three passes are one matrix. Two
    products replace six filters, which is several times faster on a CPU. PIL rounds to bytes after each pass, this
    function after each direction; the results differ by one level, in some pixels by two.
    """
    samples, channels, height, width = pixels.shape
    with torch.autocast(pixels.device.type, enabled=False):  # bf16's 8 bits of precision are not enough for a byte
        tiles = list(_tiles(width, taps))
        lines = pixels.reshape(samples, channels * height, width)
        across = torch.empty_like(lines)
        for source, target, matrix in tiles:
            across[:, :, target] = torch.bmm(lines[:, :, source], matrix)
        planes = across.round_().view(samples * channels, height, width)
        down = torch.empty_like(planes)
        for source, target, matrix in tiles if height == width else _tiles(height, taps):
            each = matrix.mT[:, None].expand(-1, channels, -1, -1).flatten(0, 1)
            down[:, target] = torch.bmm(each, planes[:, source])
    return down.round_().view_as(pixels)


def _tiles(size: int, taps: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield (source, target, matrix): pixels `source` of a line times the matrix are its blurred pixels `target`.

    The matrix of a long line is a narrow band. It is processed in tiles; all tiles but the outer two are equal.
    """
    reach = PASSES * (taps.shape[1] // 2)
    window = TILE + 2 * reach
    if size <= 2 * window:
        yield slice(size), slice(size), _three_passes(taps, size)
        return
    small = _three_passes(taps, 2 * window)
    yield slice(window), slice(TILE), small[:, :window, :TILE]
    inner = small[:, reach : reach + window, 2 * reach : 2 * reach + TILE]
    for start in range(TILE, size - TILE, TILE):
        start = min(start, size - TILE - reach)
        yield slice(start - reach, start + TILE + reach), slice(start, start + TILE), inner
    yield slice(size - window, size), slice(size - TILE, size), small[:, -window:, -TILE:]


def _three_passes(taps: Tensor, size: int) -> Tensor:
    """[B, size, size]: row vectors times this are the row vectors after three box passes."""
    one = (taps @ _neighbours(size, taps.shape[1], taps.device)).view(len(taps), size, size)
    return torch.bmm(torch.bmm(one, one), one)


@lru_cache(maxsize=16)
def _neighbours(size: int, taps: int, device: torch.device) -> Tensor:
    """0/1 [taps, size * size]: at (t, i, j), whether pixel i is the t-th neighbour of pixel j."""
    position = torch.arange(size)
    neighbour = (position + torch.arange(taps)[:, None] - taps // 2).clamp(0, size - 1)
    return (neighbour[:, None, :] == position[:, None]).float().flatten(1).to(device)


def sharpness(pixels: Tensor, factor: Tensor) -> Tensor:
    """Blend with PIL's SMOOTH: a 3x3 mean with weight five for the centre; the border is not changed."""
    rows = pixels[:, :, :-2] + pixels[:, :, 1:-1] + pixels[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * pixels[:, :, 1:-1, 1:-1]
    smooth = pixels.clone()
    smooth[:, :, 1:-1, 1:-1] = total.div_(13).round_()
    return blend(smooth, pixels, factor)
