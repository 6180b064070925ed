"""Finds images that look alike though their bytes differ: pairs in train and val raise validation scores."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.datasets.reading.images import decode_image, read_bytes

SIDE = 16  # side of the compared thumbnails
ALIKE = 4.0  # mean difference of two thumbnails in grey levels, after each is brought to the same mean and spread
SPREAD = 50.0
_FLAT = 2.0  # an image of one colour would match any other
_BLOCK = 512


def thumbnail(path: Path) -> np.ndarray | None:
    """float32 [SIDE * SIDE] with mean 0; None if the file cannot be read or has a single colour."""
    data = read_bytes(path)
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("L", (4 * SIDE, 4 * SIDE))  # a JPEG is decoded at an eighth of its size
            grey = image.convert("L") if image.mode in ("L", "RGB", "YCbCr") else None
        if grey is None:
            grey = Image.fromarray(decode_image(data, path)).convert("L")
    except (UserError, OSError, ValueError, SyntaxError):
        return None
    values = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel()
    values -= values.mean()
    spread = values.std()
    return None if spread < _FLAT else values * (SPREAD / spread)


def pairs(first: Sequence[np.ndarray | None], second: Sequence[np.ndarray | None]) -> list[tuple[int, int]]:
    """(position in `first`, position in `second`) of the images that look alike."""
    ours = [k for k, one in enumerate(first) if one is not None]
    theirs = [k for k, one in enumerate(second) if one is not None]
    if not ours or not theirs:
        return []
    left, right = (np.stack([side[k] for k in chosen]) for side, chosen in ((first, ours), (second, theirs)))
    found = []
    for start in range(0, len(left), _BLOCK):
        block = left[start : start + _BLOCK]
        # The mean absolute difference is at most the root of the mean square, so one matrix product gives the
        # candidates.
        square = (block**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * block @ right.T
        rows, columns = np.nonzero(square <= 4 * ALIKE**2 * SIDE**2)
        for row, column in zip(rows, columns, strict=True):
            if np.abs(block[row] - right[column]).mean() <= ALIKE:
                found.append((ours[start + row], theirs[column]))
    return found
