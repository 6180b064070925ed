"""Reads masks as class indices (uint8, 255 = ignored), by value or by colour; unknown values are errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.datasets.reading.images import open_image

MAX_CLASSES = 255
GREY_MODES = ("1", "L", "P", "I;16", "I;16B", "I;16L", "I")
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
_VALUES = 65536
_UNKNOWN = -1
_SHOWN = 5  # unknown values or colours that a message lists


def open_mask(data: bytes, where: str | Path) -> Image.Image:
    """The decoded file; lossy formats are rejected."""
    image = open_image(data, where)
    kind = _lossy(data) or ("JPEG" if image.info.get("compression") in _LOSSY_TIFF else None)
    if kind:
        raise UserError(f"{where} is a lossy {kind}: its labels are not exact; save masks as PNG")
    return image


def _lossy(data: bytes) -> str | None:
    if data[:2] == b"\xff\xd8":
        return "JPEG"
    if data[:4] == b"RIFF" and b"VP8L" not in data[12:64]:
        return "WebP"
    return None


@dataclass(frozen=True)
class IndexMasks:
    """Greyscale or palette masks: (value, class) pairs; values mapped to 255 are ignored, all others are errors.

    With a tolerance, an unknown value counts as the nearest known value, up to that distance.
    """

    values: tuple[tuple[int, int], ...]
    tolerance: int = 0

    @classmethod
    def plain(cls, classes: int, ignored: tuple[int, ...] = (IGNORE,)) -> IndexMasks:
        return cls(tuple((k, k) for k in range(classes)) + tuple((v, IGNORE) for v in ignored))

    def decode(self, data: bytes, where: str | Path) -> np.ndarray:
        image = open_mask(data, where)
        if image.mode not in GREY_MODES:
            raise UserError(
                f"{where} is a mask of mode {image.mode}, expected one channel of class indices; "
                "for colour masks give `masks: colour` and the colours in classes.yaml"
            )
        return self.of_values(np.asarray(image).astype(np.uint8) if image.mode == "1" else np.asarray(image), where)

    def of_values(self, values: np.ndarray, where: str | Path) -> np.ndarray:
        """Classes of an integer array."""
        if values.size and not 0 <= values.min() <= values.max() < _VALUES:
            raise UserError(f"{where} holds 32-bit values; save masks with 8 or 16 bits")
        table = np.full(_VALUES, _UNKNOWN, np.int16)
        for value, k in self.values:
            table[value] = k
        label = table[values]
        unknown = label == _UNKNOWN
        if unknown.any():
            known = np.array(sorted(self.values), np.int64)
            label[unknown] = _nearest(values[unknown][:, None], known[:, :1], known[:, 1], self.tolerance, where, str)
        return label.astype(np.uint8)

    def identity(self) -> list[Any]:
        """All settings that determine the labels, for JSON."""
        return [sorted(map(list, self.values)), self.tolerance]


@dataclass(frozen=True)
class ColourMasks:
    """RGB or palette masks: ((red, green, blue), class) pairs; colours mapped to 255 are ignored, others are errors.

    With a tolerance, an unknown colour counts as the nearest known colour, up to that distance.
    """

    colours: tuple[tuple[tuple[int, int, int], int], ...]
    tolerance: int = 0

    def decode(self, data: bytes, where: str | Path) -> np.ndarray:
        image = open_mask(data, where)
        if image.mode.startswith(("I", "F")):
            raise UserError(f"{where} is a mask of mode {image.mode}, expected 8-bit colours as in classes.yaml")
        rgb = np.asarray(image.convert("RGB")).astype(np.int32)
        packed = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
        known = np.array(sorted((r << 16 | g << 8 | b, k) for (r, g, b), k in self.colours), dtype=np.int32)
        place = np.searchsorted(known[:, 0], packed).clip(max=len(known) - 1)
        label = known[place, 1]
        wrong = known[place, 0] != packed
        if wrong.any():
            colours = np.array([colour for colour, _ in self.colours])
            classes = np.array([k for _, k in self.colours])
            label[wrong] = _nearest(rgb[wrong], colours, classes, self.tolerance, where, _spelled)
        return label.astype(np.uint8)

    def identity(self) -> list[Any]:
        """All settings that determine the labels, for JSON."""
        return [sorted([list(colour), k] for colour, k in self.colours), self.tolerance]


def _spelled(colour: str) -> str:
    return f"({colour})"


def _nearest(
    found: np.ndarray,
    known: np.ndarray,
    classes: np.ndarray,
    tolerance: int,
    where: str | Path,
    show: Callable[[str], str],
) -> np.ndarray:
    """The class of the nearest known value or colour for each row of `found`; UserError if none is near enough."""
    rows, inverse, counts = np.unique(found, axis=0, return_inverse=True, return_counts=True)
    squared = (rows.astype(np.int64)[:, None] - known.astype(np.int64)[None]) ** 2
    distances = np.sqrt(squared.sum(-1))
    place, distance = distances.argmin(1), distances.min(1)
    far = distance > tolerance
    if far.any():
        ranked = sorted(np.flatnonzero(far), key=lambda row: -counts[row])
        listed = ", ".join(
            f"{show(_text(rows[row]))} on {counts[row]} pixels, nearest {show(_text(known[place[row]]))} "
            f"({_named(classes[place[row]])}) at distance {np.ceil(distance[row]):.0f}"
            for row in ranked[:_SHOWN]
        )
        enough = f"{np.ceil(distance.max()):.0f}"
        more = f" and {len(ranked) - _SHOWN} more" if len(ranked) > _SHOWN else ""
        raise UserError(
            f"{where} holds labels that are no class: {listed}{more} ({int(counts[far].sum())} pixels in all); correct "
            f"the mask or the list of classes, or, if edges are smoothed, write `tolerance: {enough}` "
            "into classes.yaml: each such pixel then counts as the nearest class"
        )
    return classes[place][inverse.reshape(-1)]


def _text(row: np.ndarray) -> str:
    return ", ".join(map(str, row))


def _named(k: int) -> str:
    return "ignored" if k == IGNORE else f"class {k}"
