"""A data set whose images and masks are resized during decoding; the files are not changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from semiseg.datasets.dataset import Dataset, Sample


@dataclass(frozen=True)
class Resized(Dataset):
    """`size`: height and width of all images, whatever their aspect ratio; None: they are not resized."""

    size: tuple[int, int] | None = None

    def read_image(self, sample: Sample) -> np.ndarray:
        return self._resize(super().read_image(sample), Image.Resampling.BILINEAR)

    def read_mask(self, sample: Sample) -> np.ndarray:
        return self._resize(super().read_mask(sample), Image.Resampling.NEAREST)

    def _resize(self, pixels: np.ndarray, how: Image.Resampling) -> np.ndarray:
        if self.size is None or pixels.shape[:2] == self.size:
            return pixels
        height, width = self.size
        return np.array(Image.fromarray(pixels).resize((width, height), how))
