"""Random scale, crop and flip of an image, reading only the pixels that the crop shows: crop, then resize.

Usual pipelines resize the whole image by s and cut h x w pixels out of the result. Here the region of round(h/s) x
round(w/s) source pixels is cut first and resized to h x w. The differences are:
- The scale is h / round(h/s), within half a source pixel per crop of s, so that the region is whole pixels.
- The crop starts at a whole source pixel, not at a whole pixel of the resized image (a shift below one pixel).
- If s > 1, interpolation cannot see beyond the region and repeats its outermost pixels, which affects the outer s/2
pixels of the crop. All other pixels are the same bilinear samples (`tests/feed/test_geometry.py`).
- A reduced image (s < 1) is sharper than with PIL, whose bilinear filter widens with the reduction; OpenCV's
INTER_LINEAR, which AdvSemiSeg uses, gives the same sharpness.
An image smaller than the region is padded at the bottom and the right before the flip, as UniMatch and iMAS do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from semiseg.base.labels import IGNORE
from semiseg.feed.draws import Draws

# The ImageNet mean, as AdvSemiSeg, CPS and iMAS pad: about zero after normalisation.
PADDING = (124, 116, 104)


@dataclass(frozen=True)
class Region:
    """`height` x `width` source pixels from (`top`, `left`) fill `rows` x `columns` of the crop; the rest is padded."""

    top: int
    left: int
    height: int
    width: int
    rows: int
    columns: int
    flip: bool


def draw_regions(
    draws: Draws,
    stream: str,
    sizes: Sequence[tuple[int, int]],
    crop: tuple[int, int],
    scale: tuple[float, float],
    flip: bool,
) -> list[Region]:
    """One region per sample."""
    numbers = draws.uniform(stream, 4)
    regions = []
    for (height, width), (u_scale, u_top, u_left, u_flip) in zip(sizes, numbers.tolist(), strict=True):
        factor = scale[0] + (scale[1] - scale[0]) * u_scale
        top, region_height, rows = _extent(height, crop[0], factor, u_top)
        left, region_width, columns = _extent(width, crop[1], factor, u_left)
        regions.append(Region(top, left, region_height, region_width, rows, columns, flip and u_flip < 0.5))
    return regions


def _extent(size: int, crop: int, factor: float, u: float) -> tuple[int, int, int]:
    """Along one axis: start of the region, its number of source pixels, and the number of crop pixels they fill."""
    wanted = max(1, round(crop / factor))
    if wanted <= size:
        return int(u * (size - wanted + 1)), wanted, crop
    return 0, size, min(crop, max(1, round(size * crop / wanted)))


def read_image(image: np.ndarray, region: Region, out: np.ndarray) -> None:
    """Fill `out`, uint8 [h, w, 3]."""
    _read(image, region, out, cv2.INTER_LINEAR, PADDING)


def read_label(label: np.ndarray, region: Region, out: np.ndarray) -> None:
    """Fill `out`, uint8 [h, w], with the nearest pixels. Distances are between pixel centres, as for the image."""
    _read(label, region, out, cv2.INTER_NEAREST_EXACT, (IGNORE,))


def _read(source: np.ndarray, region: Region, out: np.ndarray, interpolation: int, padding: Sequence[int]) -> None:
    part = source[region.top : region.top + region.height, region.left : region.left + region.width]
    below, beside = out.shape[0] - region.rows, out.shape[1] - region.columns
    size = (region.columns, region.rows)
    if below or beside:
        shown = cv2.resize(part, size, interpolation=interpolation)
        cv2.copyMakeBorder(shown, 0, below, 0, beside, cv2.BORDER_CONSTANT, dst=out, value=padding)
    else:
        cv2.resize(part, size, dst=out, interpolation=interpolation)
    if region.flip:
        cv2.flip(out, 1, dst=out)


def valid_bounds(regions: Sequence[Region], width: int) -> np.ndarray:
    """int64 [B, 3]: the rows above the first, and the columns from the second up to the third, show the image."""
    bounds = [(r.rows, width - r.columns, width) if r.flip else (r.rows, 0, r.columns) for r in regions]
    return np.array(bounds, dtype=np.int64).reshape(-1, 3)
