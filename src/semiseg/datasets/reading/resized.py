"""A data set whose images and masks get another size when they are decoded; its files stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from semiseg.datasets.dataset import Dataset, Sample


@dataclass(frozen=True)
class Resized(Dataset):
    """`size` is height and width for all images, whatever their aspect; None leaves them as they are."""

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
