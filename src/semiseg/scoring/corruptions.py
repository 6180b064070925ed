"""Corrupts images in five ways at three strengths, to measure how robust a trained network is.

The strengths are not those of a published benchmark, so scores are comparable only between runs of this project. Random
numbers are keyed by image and kind of corruption, so every run sees the same pixels.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from semiseg.feed.store import Store

AFFECTS_RESULTS = False

STRENGTHS = (1, 2, 3)
NOISE = (10.0, 25.0, 50.0)  # standard deviation, of 255
BLUR = (0.004, 0.008, 0.016)  # standard deviation as a share of the image's diagonal
DARKNESS = (0.6, 0.4, 0.2)  # factor on the brightness
CONTRAST = (0.6, 0.4, 0.2)  # factor on the distance to the image's mean
JPEG = (30, 12, 5)  # Pillow's quality


def noise(image: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    return image + random.normal(0, NOISE[strength - 1], image.shape)


def blur(image: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    sd = BLUR[strength - 1] * math.hypot(*image.shape[:2])
    return gaussian_filter(image.astype(np.float64), (sd, sd, 0))


def darkness(image: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    return image * DARKNESS[strength - 1]


def contrast(image: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    mean = image.mean((0, 1))
    return mean + CONTRAST[strength - 1] * (image - mean)


def jpeg(image: np.ndarray, strength: int, random: np.random.Generator) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG[strength - 1])
    return np.asarray(Image.open(buffer))


KINDS: Mapping[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "noise": noise,
    "blur": blur,
    "darkness": darkness,
    "contrast": contrast,
    "jpeg": jpeg,
}


def corrupted(one: str, image: np.ndarray, kind: str, strength: int) -> np.ndarray:
    """uint8 [H,W,3]: the corrupted image."""
    key = hashlib.sha256(f"{kind}/{one}".encode()).digest()
    worse = KINDS[kind](np.asarray(image), strength, np.random.default_rng(list(key)))
    return np.clip(np.rint(worse), 0, 255).astype(np.uint8)


class CorruptedStore:
    """A store with corrupted images; masks and sizes are unchanged."""

    def __init__(self, store: Store, kind: str, strength: int) -> None:
        self.store, self.kind, self.strength = store, kind, strength

    def image(self, one: str) -> np.ndarray:
        return corrupted(one, self.store.image(one), self.kind, self.strength)

    def label(self, one: str) -> Any:
        return self.store.label(one)

    def size(self, one: str) -> tuple[int, int]:
        return self.store.size(one)
