"""Mask files to class indices (uint8, 255 = ignored), by value or by colour, and nothing silently mapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.datasets.images import open_image

MAX_CLASSES = 255
GREY_MODES = ("1", "L", "P", "I;16", "I;16B", "I;16L", "I")
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
_VALUES = 65536
_UNKNOWN = -1


def open_mask(data: bytes, where: str | Path) -> Image.Image:
    """The decoded file, which no codec may have changed."""
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
    """Greyscale or palette masks: (value, class) pairs; values mapped to 255 are ignored, all others are errors."""

    values: tuple[tuple[int, int], ...]

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
        values = np.asarray(image).astype(np.uint8) if image.mode == "1" else np.asarray(image)
        if values.size and not 0 <= values.min() <= values.max() < _VALUES:
            raise UserError(f"{where} holds 32-bit values; save masks with 8 or 16 bits")
        table = np.full(_VALUES, _UNKNOWN, np.int16)
        for value, k in self.values:
            table[value] = k
        label = table[values]
        if label.min(initial=0) == _UNKNOWN:
            raise _unknown(where, values[label == _UNKNOWN], str)
        return label.astype(np.uint8)


@dataclass(frozen=True)
class ColourMasks:
    """RGB or palette masks: ((red, green, blue), class) pairs; colours mapped to 255 are ignored, others are errors."""

    colours: tuple[tuple[tuple[int, int, int], int], ...]

    def decode(self, data: bytes, where: str | Path) -> np.ndarray:
        image = open_mask(data, where)
        if image.mode.startswith(("I", "F")):
            raise UserError(f"{where} is a mask of mode {image.mode}, expected 8-bit colours as in classes.yaml")
        rgb = np.asarray(image.convert("RGB")).astype(np.int32)
        packed = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
        known = np.array(sorted((r << 16 | g << 8 | b, k) for (r, g, b), k in self.colours), dtype=np.int32)
        place = np.searchsorted(known[:, 0], packed).clip(max=len(known) - 1)
        wrong = known[place, 0] != packed
        if wrong.any():
            raise _unknown(where, packed[wrong], lambda v: f"({v >> 16}, {v >> 8 & 255}, {v & 255})")
        return known[place, 1].astype(np.uint8)


def _unknown(where: str | Path, values: np.ndarray, show: Callable[[int], str]) -> UserError:
    found, counts = np.unique(values, return_counts=True)
    listed = ", ".join(f"{show(int(v))} on {n} pixels" for v, n in zip(found[:5], counts[:5], strict=True))
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return UserError(f"{where} holds labels that are no class: {listed}{more}; mend the mask or the list of classes")
