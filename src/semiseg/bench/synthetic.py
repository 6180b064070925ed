"""Synthetic images and label maps; decoding and counting them costs as much as with natural ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Sample:
    id: str
    image: Path
    mask: Path
    group: None = None


# Standard deviations of the grain that give files as large as those of the data sets: about 0.5 bytes per pixel for
# VOC's JPEGs, and 1.1 for Cityscapes' PNGs, which show smoother pictures.
GRAIN = {".jpg": 11.0, ".png": 0.5}


def photograph(height: int, width: int, seed: int, grain: float) -> np.ndarray:
    """An image with a 1/f spectrum, so with structures of all sizes, and the grain of a sensor."""
    generator = np.random.default_rng(seed)
    image = np.full((height, width, 3), 110.0, np.float32)
    for cell in (256, 64, 16, 4, 2):
        coarse = generator.normal(0, 1, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        image += cell**0.5 * 2 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image += generator.normal(0, grain, (height, width, 1))
    return image.clip(0, 255).astype(np.uint8)


def label_map(height: int, width: int, classes: int, seed: int) -> np.ndarray:
    """A label map with connected areas of every class, and ignored contours between them."""
    generator = np.random.default_rng(seed)
    cells = generator.integers(0, classes, (8, 12), dtype=np.uint8)
    cells.reshape(-1)[:classes] = np.arange(classes)
    label = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
    edge = np.zeros((height, width), bool)
    edge[:, 1:] |= label[:, 1:] != label[:, :-1]
    edge[1:] |= label[1:] != label[:-1]
    label[cv2.dilate(edge.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 255
    return label


class Photographs:
    """Write a data set of synthetic photographs: JPEG as in VOC or PNG as in Cityscapes, masks as PNG."""

    name, classes, palette = "made", ("thing",) * 21, ((0, 0, 0),) * 21

    def __init__(self, folder: Path, suffix: str, height: int, width: int, count: int) -> None:
        self.subsets = {"train": tuple(self._make(folder, suffix, height, width, i) for i in range(count))}

    def _make(self, folder: Path, suffix: str, height: int, width: int, seed: int) -> Sample:
        folder.mkdir(parents=True, exist_ok=True)
        sample = Sample(f"{seed:03d}", folder / f"{seed:03d}{suffix}", folder / f"{seed:03d}-mask.png")
        Image.fromarray(photograph(height, width, seed, GRAIN[suffix])).save(sample.image, quality=92)
        Image.fromarray(label_map(height, width, len(self.classes), seed)).save(sample.mask)
        return sample

    def read_image(self, sample: Sample) -> np.ndarray:
        return np.asarray(Image.open(sample.image).convert("RGB"))

    def read_mask(self, sample: Sample) -> np.ndarray:
        return np.asarray(Image.open(sample.mask))
