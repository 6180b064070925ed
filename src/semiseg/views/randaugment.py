"""The intensity augmentations of iMAS and AugSeg: operations drawn with replacement from a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from semiseg.feed.draws import Draws
from semiseg.views import colour, filters
from semiseg.views.selected_rows import apply_rows


@dataclass(frozen=True)
class Operation:
    """`apply(pixels, parameter)`; `parameter` turns two uniform draws per sample into the operation's parameter."""

    apply: Callable[..., Tensor]
    parameter: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def _between(low: float, high: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda u, sign: low + (high - low) * u


def _operations(weakest: float) -> dict[str, Operation]:
    """`weakest`: smallest factor of contrast, brightness, colour and sharpness; the largest is 0.95."""
    factor = _between(weakest, 0.95)
    return {
        "identity": Operation(lambda pixels: pixels),
        "autocontrast": Operation(colour.autocontrast),
        "equalise": Operation(colour.equalise),
        "invert": Operation(colour.invert),
        "blur": Operation(filters.gaussian_blur, lambda u, sign: filters.box_taps(0.1 + 1.9 * u)),
        "contrast": Operation(colour.contrast, factor),
        "brightness": Operation(colour.brightness, factor),
        "saturation": Operation(colour.saturation, factor),
        "sharpness": Operation(filters.sharpness, factor),
        # The effective ranges of the official code for [4, 8] and [1, 256]: 4..7 bits, thresholds 1..255.
        "posterise": Operation(colour.posterise, lambda u, sign: 4 + np.floor(4 * u)),
        "solarise": Operation(colour.solarise, lambda u, sign: 1 + np.floor(255 * u)),
        "hue": Operation(colour.hue, lambda u, sign: np.where(sign < 0.5, -0.5, 0.5) * u),
    }


IMAS = _operations(weakest=0.1)
AUGSEG = {name: operation for name, operation in _operations(weakest=0.05).items() if name != "invert"}


def rand_augment(
    pixels: Tensor,
    draws: Draws,
    stream: str,
    count: int | tuple[int, int] = 2,
    operations: dict[str, Operation] = IMAS,
    strength: float = 1.0,
) -> Tensor:
    """Apply `count` operations per sample in sequence.

    For (low, high) the number is drawn, both ends included (AugSeg).

    `strength` below 1 blends the result with the weak view.
    """
    low, high = (count, count) if isinstance(count, int) else count
    numbers = draws.uniform(stream, 1 + 3 * high)
    counts = low + np.floor((high - low + 1) * numbers[:, 0])
    weak, pixels = pixels, pixels.clone()
    for turn in range(high):
        choice, magnitude, sign = numbers[:, 1 + 3 * turn : 4 + 3 * turn].T
        chosen = np.where(turn < counts, np.floor(len(operations) * choice), -1)
        for i, operation in enumerate(operations.values()):
            parameters = [] if operation.parameter is None else [operation.parameter(magnitude, sign)]
            apply_rows(pixels, np.flatnonzero(chosen == i), operation.apply, *parameters)
    return colour.mitigate(pixels, weak, strength)
