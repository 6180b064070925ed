"""How certain a difference is: what is resampled, and what an interval therefore covers.

Three things are varied, and only what a study did vary is in an interval:

- seeds: other initial weights and another order of the images. Seeds are few, so a percentile bootstrap over them
  covers far too little (76 % with three, 84 % with five, where 95 % is claimed); their variance goes with Student's t.
- lists: other draws of the labelled images. Where a study has several, the mean of each list is one observation,
  because the trainings of one list share its luck; Student's t again.
- images: other test images. They are many, and a score is a function of sums over them, so they are bootstrapped from
  what each image contributes. Test images of one drive or video are drawn together.

Variances are added, and the degrees of freedom of the sum are Satterthwaite's (1946). The interval of a
single training covers test images alone. It has no p value, because another seed may differ by more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

RESAMPLES = 10_000
FEW_UNITS = 8  # with fewer images (or groups) to draw from, intervals cannot be trusted
FEWER = 2_000  # for metrics beside mIoU: their standard errors are within 2 % of those of more
LEVEL = 0.95
BLOCK = 500  # resamples at a time: bounds memory at 1,449 images to 6 MB

# How often each image was drawn, float64 [resamples, images] -> scores [resamples].
Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Interval:
    """A mean with its standard error; `covers` says which choices the error covers."""

    estimate: float
    error: float | None  # None: nothing was varied, and the estimate stands alone
    df: float
    covers: str | None  # what was varied, joined by "+": "images", "seeds", "seeds+images", "seeds+lists+images"
    n: int
    narrower: Interval | None = None  # at 95 %; at another level it may be the wider one, so p is the larger of both

    @property
    def half(self) -> float | None:
        return None if self.error is None else float(stdtrit(self.df, 0.5 + LEVEL / 2)) * self.error

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.estimate - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.estimate + self.half

    @property
    def p(self) -> float | None:
        """Two-sided: how often so large an estimate occurs when there is no difference; None for a single training."""
        if self.covers in (None, "images"):
            return None
        if self.error == 0:
            own = 1.0 if self.estimate == 0 else 0.0
        else:
            own = float(2 * stdtr(self.df, -abs(self.estimate) / self.error))
        return max(own, (self.narrower and self.narrower.p) or 0.0)

    @property
    def significant(self) -> bool:
        return self.error is not None and (self.low > 0 or self.high < 0)

    def detectable(self, power: float = 0.8) -> float:
        """The smallest true difference that such a comparison finds with the given power (normal theory, two-sided)."""
        return float(stdtrit(self.df, 0.5 + LEVEL / 2) + stdtrit(self.df, power)) * self.error


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


def resampled(score: Score, unit_of: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Bootstrap distribution [resamples] of a score that is computed from how often each image is drawn."""
    counts = draws(int(unit_of.max()) + 1, resamples, seed)
    parts = [score(counts[row : row + BLOCK][:, unit_of].astype(np.float64)) for row in range(0, resamples, BLOCK)]
    return np.concatenate(parts)


def alone(value: float) -> Interval:
    """One training whose images are not stored."""
    return Interval(value, None, 0, None, 1)


def over_seeds(values: Sequence[float]) -> Interval | None:
    """Student's t over seeds (of differences: the paired t test); None with fewer than two."""
    return _student(np.asarray(values, dtype=np.float64), "seeds", len(values))


def over_trainings(values: Sequence[float], drawn: Sequence[tuple[Any, Any]]) -> Interval | None:
    """Student's t over the means of lists, or over seeds where there is one list; None for a single training.

    values: one per training; drawn: its list of labelled images and its seed. Lists that happen to agree
    more than their seeds allow do not narrow the interval below that of as many independent trainings.
    """
    values, names = np.asarray(values, dtype=np.float64), list(dict.fromkeys(name for name, _ in drawn))
    if len(names) < 2:
        return over_seeds(values)
    of_lists = [values[[one == name for one, _ in drawn]] for name in names]
    covers = "seeds+lists" if len({seed for _, seed in drawn}) > 1 else "lists"
    means = _student(np.array([one.mean() for one in of_lists]), covers, len(values))
    apart = _student(values, covers, len(values))
    return max(means, replace(apart, estimate=means.estimate), key=lambda interval: interval.half)


def _student(values: np.ndarray, covers: str, n: int) -> Interval | None:
    if len(values) < 2:
        return None
    return Interval(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1, covers, n)


def over_images(values: Sequence[float], covariance: np.ndarray, units: int) -> Interval:
    """Bootstrap standard error of the mean over trainings: these trained networks, other images.

    covariance: [n, n] of the trainings' bootstrap distributions under the same draws. units / (units - 1) takes the
    bias from the bootstrap's variance.
    """
    variance = float(np.mean(covariance)) * units / (units - 1)
    return Interval(float(np.mean(values)), float(np.sqrt(max(0.0, variance))), units - 1, "images", len(values))


def over_all(
    values: Sequence[float], covariance: np.ndarray, units: int, drawn: Sequence[tuple[Any, Any]] | None = None
) -> Interval:
    """Other trainings and other images: variances added, degrees of freedom by Satterthwaite.

    The spread over trainings already holds what each does to single images, so the part of the images that is added is
    the part that trainings have in common: the mean covariance of the bootstrap distributions of different lists, or of
    different seeds where there is one list. Covering more never makes an interval narrower.
    """
    drawn = list(drawn) if drawn is not None else [(None, seed) for seed in range(len(values))]
    trainings = over_trainings(values, drawn)
    if trainings is None:
        return over_images(values, covariance, units)
    numbers = np.unique([str(one) for one, _ in drawn], return_inverse=True)[1]
    apart = numbers[:, None] != numbers if numbers.any() else ~np.eye(len(values), dtype=bool)
    shared = max(0.0, float(covariance[apart].mean())) * units / (units - 1)
    df = satterthwaite([trainings.error**2, shared], [trainings.df, units - 1])
    covers = f"{trainings.covers}+images"
    both = Interval(trainings.estimate, float(np.sqrt(trainings.error**2 + shared)), df, covers, len(values))
    # Estimated degrees of freedom can grow faster than the error: then 92 % would be covered instead of 95 %, and a p
    # value of 0.0002 from three trainings would occur up to 50 times as often as it says.
    alone = replace(trainings, covers=covers)
    wide, narrow = (both, alone) if both.half > alone.half else (alone, both)
    return replace(wide, narrower=narrow)


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


def leading(order: Sequence[Any], p_of: Callable[[Any, Any], float | None], level: float = 1 - LEVEL) -> list[Any]:
    """The first of `order`, and all whose difference from it is not significant: adjusted p not below the level."""
    top, *others = order
    return [top, *(one for one in others if (p := p_of(top, one)) is None or p >= level)]


def critical_difference(methods: int, sets: int) -> float:
    """Nemenyi's test: how far two mean ranks over `sets` data sets must be apart (Demšar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range  # takes longer to import than most tables to make

    quantile = studentized_range.ppf(LEVEL, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * sets)))


def least_sets(methods: int) -> int:
    """With fewer data sets, even a method that is first on each does not differ significantly from one that is last."""
    return next(sets for sets in range(2, 100) if critical_difference(methods, sets) < methods - 1)
