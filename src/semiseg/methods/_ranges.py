"""Ranges of values for tuning; each method declares them in `tuned`, below its options.

A range maps a number between 0 and 1 to a value, so that one sequence of numbers serves all methods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

AFFECTS_RESULTS = False
DIGITS = 3  # significant digits of tried values: enough to distinguish trials, and short enough to read


class Range(Protocol):
    def value(self, place: float, default: Any) -> Any:
        """The value at a position in [0, 1); `default` is the suite's value without tuning."""


@dataclass(frozen=True)
class Between:
    """From low to high, evenly or by factors (`log`)."""

    low: float
    high: float
    log: bool = False

    def value(self, place: float, default: Any) -> float:
        if self.log:
            return _rounded(self.low * (self.high / self.low) ** place)
        return _rounded(self.low + place * (self.high - self.low))


@dataclass(frozen=True)
class Times:
    """The default times low to high, by factors."""

    low: float
    high: float

    def value(self, place: float, default: float) -> float:
        return _rounded(default * self.low * (self.high / self.low) ** place)


@dataclass(frozen=True)
class OneOf:
    values: tuple[Any, ...]

    def value(self, place: float, default: Any) -> Any:
        return self.values[math.floor(place * len(self.values))]


# Keys are options of the method, or paths in the recipe.
EVERY_METHOD: dict[str, Range] = {"recipe.optimiser.lr": Times(0.5, 2.0)}
STRONG_VIEWS: dict[str, Range] = EVERY_METHOD | {"recipe.augment.strength": Between(0.25, 1.0)}


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
