"""Random numbers, angles and noise in integers only, so that every machine draws the same pixels.

NumPy does not guarantee the bits of `Generator` methods across versions, and floating-point rounding depends on
compiler and processor, so both are avoided here. All arrays are int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
ONE = 1024  # fixed-point unit of cosines and of coordinates within an object
_MASK = (1 << 64) - 1


class Dice:
    """SplitMix64 (Steele, Lea and Flood, 2014): a sequence of whole numbers from a seed."""

    def __init__(self, *seeds: int) -> None:
        self._state = 0
        for seed in seeds:
            self._state = (self._next() ^ seed) & _MASK

    def _next(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def skip(self) -> None:
        self._next()

    def between(self, low: int, high: int) -> int:
        """Uniform in low..high, both included."""
        return low + (self._next() >> 11) % (high - low + 1)

    def chance(self, percent: int) -> bool:
        return self.between(0, 99) < percent

    def choice(self, options: Sequence[T]) -> T:
        return options[self.between(0, len(options) - 1)]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        rest = list(options)
        return [rest.pop(self.between(0, len(rest) - 1)) for _ in range(len(rest))]


def sine(degrees: int) -> int:
    """ONE * sin by Bhaskara's rational formula (error below 0.2 %), which needs no library function."""
    degrees %= 360
    sign = 1 if degrees < 180 else -1
    product = (degrees % 180) * (180 - degrees % 180)
    return sign * (4 * ONE * product // (40500 - product))


def cosine(degrees: int) -> int:
    return sine(degrees + 90)


def turn(x: np.ndarray, y: np.ndarray, degrees: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the points in axes turned by `degrees`."""
    c, s = cosine(degrees), sine(degrees)
    return (c * x + s * y) // ONE, (c * y - s * x) // ONE


def speckle(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Hash of every point (x, y) to 0..255: white noise that needs no state."""
    z = x.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ y.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    z ^= np.uint64(seed & _MASK)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return (z >> np.uint64(56)).astype(np.int64)


def clouds(x: np.ndarray, y: np.ndarray, cell: int, seed: int) -> np.ndarray:
    """Value noise 0..255: hashed lattice of width `cell`, blended with the smoothstep 3t^2 - 2t^3."""
    column, row = x // cell, y // cell
    across, down = (_smooth((p % cell) * 256 // cell) for p in (x, y))
    low, high = int(row.min()), int(row.max())
    left, right = int(column.min()), int(column.max())
    lattice = speckle(*np.meshgrid(np.arange(left, right + 2), np.arange(low, high + 2)), seed)
    i, j = row - low, column - left
    top = lattice[i, j] * (256 - across) + lattice[i, j + 1] * across
    bottom = lattice[i + 1, j] * (256 - across) + lattice[i + 1, j + 1] * across
    return (top * (256 - down) + bottom * down) >> 16


def _smooth(t: np.ndarray) -> np.ndarray:
    return (t * t * (768 - 2 * t)) >> 16
