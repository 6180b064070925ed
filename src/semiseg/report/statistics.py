"""How sure a difference of mIoU is: over seeds, over images, or over both.

Seeds are few, so a percentile bootstrap over them covers far too little (76 % with three, 84 % with five, where 95 % is
claimed); their variance goes with Student's t. Images are many, and mIoU is a ratio of sums over them, so theirs is
bootstrapped from per-image confusion matrices. Where both are known the variances are added, and the degrees of
freedom of the sum are Satterthwaite's (1946).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

RESAMPLES = 10_000
LEVEL = 0.95
BLOCK = 500  # resamples at a time: bounds memory at 1,449 images to 6 MB


@dataclass(frozen=True)
class Interval:
    """A mean with its standard error; `covers` says which choices the error speaks for."""

    estimate: float
    error: float
    df: float
    covers: str  # "seeds", "images" or "seeds+images"
    n: int

    @property
    def half(self) -> float:
        return float(stdtrit(self.df, 0.5 + LEVEL / 2)) * self.error

    @property
    def low(self) -> float:
        return self.estimate - self.half

    @property
    def high(self) -> float:
        return self.estimate + self.half

    @property
    def p(self) -> float:
        """Two-sided: how often so large an estimate occurs when there is no difference."""
        if self.error == 0:
            return 1.0 if self.estimate == 0 else 0.0
        return float(2 * stdtr(self.df, -abs(self.estimate) / self.error))

    @property
    def significant(self) -> bool:
        return self.low > 0 or self.high < 0

    def detectable(self, power: float = 0.8) -> float:
        """The smallest true difference that such a comparison finds with the given power (normal theory, two-sided)."""
        return float(stdtrit(self.df, 0.5 + LEVEL / 2) + stdtrit(self.df, power)) * self.error


def ingredients(confusion: np.ndarray) -> np.ndarray:
    """float64 [N, 3, K]: hits, true and predicted pixels of each image; all that mIoU needs of [N, K, K]."""
    hit = np.diagonal(confusion, axis1=1, axis2=2)
    return np.stack([hit, confusion.sum(2), confusion.sum(1)], axis=1).astype(np.float64)


def miou(sums: np.ndarray) -> np.ndarray:
    """mIoU in percent [...] of summed ingredients [..., 3, K]; absent classes are left out."""
    hit, true, predicted = sums[..., 0, :], sums[..., 1, :], sums[..., 2, :]
    union = true + predicted - hit
    present = union > 0
    iou = np.divide(hit, union, out=np.zeros_like(hit), where=present)
    return 100.0 * iou.sum(-1) / np.maximum(present.sum(-1), 1)


def by_group(values: np.ndarray, groups: Sequence[str | None] | None, block: int | None = None) -> np.ndarray:
    """Sum the dependent images of a group (drive, video, building); an image without one is its own.

    block: cut each group, in the order of its images, into pieces of about so many. Two drives would be a sample of
    two, though frames that are far enough apart have little in common.
    """
    if groups is None or all(group is None for group in groups):
        return values
    names = np.array([f"group {group}" if group is not None else f"image {i}" for i, group in enumerate(groups)])
    members = [np.flatnonzero(names == name) for name in np.unique(names)]
    pieces = [piece for member in members for piece in _pieces(member, block)]
    return np.stack([values[piece].sum(0, dtype=np.float64) for piece in pieces])


def _pieces(member: np.ndarray, block: int | None) -> list[np.ndarray]:
    return np.array_split(member, max(1, round(len(member) / block))) if block else [member]


@functools.lru_cache(maxsize=4)
def draws(units: int, resamples: int, seed: int) -> np.ndarray:
    """uint16 [resamples, units]: how often each unit is drawn; the same for all networks, so differences are paired."""
    random = np.random.default_rng([seed, units])
    counts = np.empty((resamples, units), dtype=np.uint16)
    for row in range(0, resamples, BLOCK):
        block = counts[row : row + BLOCK]
        drawn = random.integers(0, units, size=block.shape) + units * np.arange(len(block))[:, None]
        block[:] = np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
    return counts


def resampled_miou(units: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Bootstrap mIoU [resamples] from ingredients [units, 3, K], as draw counts times ingredients."""
    flat = units.reshape(len(units), -1)
    counts = draws(len(units), resamples, seed)
    result = np.empty(resamples)
    for row in range(0, resamples, BLOCK):
        # Pixel counts are integers below 2**53, so the product is exact and the same for any BLAS.
        sums = counts[row : row + BLOCK].astype(np.float64) @ flat
        result[row : row + BLOCK] = miou(sums.reshape(-1, *units.shape[1:]))
    return result


def over_seeds(values: Sequence[float]) -> Interval | None:
    """Student's t over seeds (of differences: the paired t test); None with fewer than two."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return None
    return Interval(
        float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1, "seeds", len(values)
    )


def over_images(values: Sequence[float], covariance: np.ndarray, units: int) -> Interval:
    """Bootstrap standard error of the mean over seeds: these trained networks, other images.

    covariance: [n, n] of the seeds' bootstrap distributions under the same draws. units / (units - 1) takes the bias
    from the bootstrap's variance.
    """
    variance = float(np.mean(covariance)) * units / (units - 1)
    return Interval(float(np.mean(values)), float(np.sqrt(max(0.0, variance))), units - 1, "images", len(values))


def over_both(values: Sequence[float], covariance: np.ndarray, units: int) -> Interval:
    """Other seeds and other images: variances added, degrees of freedom by Satterthwaite.

    The spread over seeds already holds what each seed does to single images, so the part of the images that is added
    is the part common to the seeds: the mean covariance of their bootstrap distributions. Speaking for more never makes
    an interval narrower.
    """
    seeds = over_seeds(values)
    if seeds is None:
        return over_images(values, covariance, units)
    n = len(values)
    between = float(covariance.sum() - np.trace(covariance)) / (n * (n - 1))
    shared = max(0.0, between) * units / (units - 1)
    df = satterthwaite([seeds.error**2, shared], [n - 1, units - 1])
    both = Interval(seeds.estimate, float(np.sqrt(seeds.error**2 + shared)), df, "seeds+images", n)
    # Estimated degrees of freedom can grow faster than the error: then 92 % would be covered instead of 95 %.
    return max(both, replace(seeds, covers="seeds+images"), key=lambda interval: interval.half)


def satterthwaite(variances: Sequence[float], df: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independent variance estimates: (sum v)^2 / sum(v^2 / df)."""
    divisor = sum(variance**2 / each for variance, each in zip(variances, df, strict=True))
    return sum(variances) ** 2 / divisor if divisor > 0 else float(min(df))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: the chance of any false claim in the table stays below the level."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted.tolist()
