"""Units of resampling: the test images that are drawn together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

AFFECTS_RESULTS = False


def of_images(images: int, groups: Sequence[str | None] | None, block: int | None = None) -> np.ndarray:
    """Number of the unit [images] that each image is drawn with; an image without a group is a unit of its own.

    block: cut each group, in the order of its images, into pieces of about so many. Two drives would be a sample of
    two, though frames that are far enough apart have little in common.
    """
    if groups is None:
        return np.arange(images)
    names = [f"image {i}" if group is None else f"group {group}" for i, group in enumerate(groups)]
    group_of = np.unique(names, return_inverse=True)[1]
    if not block:
        return group_of
    unit_of = np.empty(images, dtype=np.int64)
    pieces = [
        piece for group in range(group_of.max() + 1) for piece in _pieces(np.flatnonzero(group_of == group), block)
    ]
    for number, piece in enumerate(pieces):
        unit_of[piece] = number
    return unit_of


def _pieces(member: np.ndarray, block: int) -> list[np.ndarray]:
    return np.array_split(member, max(1, round(len(member) / block)))


def merged(unit_of: np.ndarray, most: int) -> np.ndarray:
    """Number of the larger unit [images] when units are put together at random so that at most so many remain."""
    count = int(unit_of.max()) + 1
    if count <= most:
        return unit_of
    return np.random.default_rng(count).permutation(count)[unit_of] % most
