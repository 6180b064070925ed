"""Masks of a user's folder. Each file is an image, a MATLAB file, or shapes of an annotation tool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.datasets.reading import matfile, polygons
from semiseg.datasets.reading.images import SUFFIXES
from semiseg.datasets.reading.masks import ColourMasks, IndexMasks

MASK_SUFFIXES = (*SUFFIXES, ".mat", ".json")


@dataclass(frozen=True)
class FolderMasks:
    """`outside`: the class of pixels that no shape covers; only files of annotation tools use it."""

    pixels: IndexMasks | ColourMasks
    names: tuple[str, ...]
    outside: int = IGNORE

    def decode(self, data: bytes, where: str | Path) -> np.ndarray:
        if polygons.is_labelme(data):
            return polygons.decode(data, where, {name: k for k, name in enumerate(self.names)}, self.outside)
        if matfile.is_matlab(data):
            if isinstance(self.pixels, ColourMasks):
                raise UserError(f"{where} holds class numbers; write `masks: index` and their values into classes.yaml")
            return self.pixels.of_values(whole_numbers(data, where), where)
        return self.pixels.decode(data, where)

    def encode(self, label: np.ndarray) -> np.ndarray:
        """An image that `decode` reads as this label map: values uint8 or uint16 [H, W], or colours uint8 [H, W, 3]."""
        if isinstance(self.pixels, ColourMasks):
            table = np.zeros((len(self.names), 3), np.uint8)
            marks = self.pixels.colours
        else:
            table = np.zeros(len(self.names), np.uint16)
            marks = self.pixels.values
        for mark, k in marks[::-1]:
            if k < len(self.names):
                table[k] = mark
        return table[label] if table.max(initial=0) > 255 else table.astype(np.uint8)[label]

    def identity(self) -> list[Any]:
        """All settings that determine the labels, for JSON. Names count, because shapes are labelled by name."""
        return [type(self.pixels).__name__, *self.pixels.identity(), list(self.names), self.outside]


def whole_numbers(data: bytes, where: str | Path) -> np.ndarray:
    """The one matrix of a MATLAB file, as integers."""
    try:
        values = matfile.read_matrix(data)
    except ValueError as error:
        raise UserError(
            f"{where} cannot be read as a mask ({error}); save one matrix of class numbers, with `save -v7` if MATLAB "
            "asks, or as PNG"
        ) from error
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and (values == np.round(values)).all()):
            raise UserError(f"{where} holds fractions; a mask needs whole numbers as classes")
        values = values.astype(np.int64)
    return values
