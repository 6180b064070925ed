"""The ground: meadow, sand, water, planks or paving, each in two muted colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from semiseg.datasets.kinds.pocket.integers import Dice, clouds, speckle, turn
from semiseg.datasets.kinds.pocket.textures import any_colour, blend

Range = tuple[int, int]
Muted = tuple[Range, Range, Range]  # hue, saturation, value

COLOURS: dict[str, tuple[Muted, Muted]] = {
    "meadow": (((70, 120), (60, 110), (100, 160)), ((60, 100), (60, 120), (70, 130))),
    "sand": (((25, 45), (30, 80), (180, 230)), ((20, 40), (40, 90), (140, 190))),
    "water": (((185, 215), (50, 120), (120, 200)), ((185, 215), (30, 90), (160, 230))),
    "planks": (((15, 35), (60, 110), (110, 180)), ((15, 35), (60, 120), (70, 130))),
    "paving": (((0, 359), (0, 30), (110, 200)), ((0, 359), (0, 30), (70, 130))),
}


def ground(x: np.ndarray, y: np.ndarray, dice: Dice) -> np.ndarray:
    """Colour of every fine pixel of the ground."""
    kind = dice.choice(tuple(COLOURS))
    u, v = turn(x * 8, y * 8, dice.between(0, 359))  # eighths of a fine pixel
    seed = dice.between(0, 1 << 30)
    coarse = clouds(x, y, dice.between(24, 60), seed)
    base, other = (any_colour(dice, (hues,), saturation, value) for hues, saturation, value in COLOURS[kind])
    if kind == "sand":  # the grain follows the axes of the pixels
        return blend((coarse + speckle(x // 2, y // 2, seed + 1)) // 2, base, other)
    return blend(WEIGHTS[kind](u, v, coarse, seed, dice), base, other)


def _meadow(u: np.ndarray, v: np.ndarray, coarse: np.ndarray, seed: int, dice: Dice) -> np.ndarray:
    return (coarse + clouds(u, v * 6, 90, seed + 1) * 2) // 3


def _water(u: np.ndarray, v: np.ndarray, coarse: np.ndarray, seed: int, dice: Dice) -> np.ndarray:
    wave = (v + clouds(u, v, 260, seed + 1)) % dice.between(150, 260)
    return np.where(wave < 50, 200, coarse // 2)


def _planks(u: np.ndarray, v: np.ndarray, coarse: np.ndarray, seed: int, dice: Dice) -> np.ndarray:
    plank = dice.between(200, 360)
    wood = clouds(u, v * 8, 300, seed + 1) + speckle(v // plank, np.zeros_like(v), seed)
    return np.where(v % plank < 24, 256, wood // 3)


def _paving(u: np.ndarray, v: np.ndarray, coarse: np.ndarray, seed: int, dice: Dice) -> np.ndarray:
    stone = dice.between(220, 380)
    row = v // stone
    along = u + row % 2 * (stone // 2)  # every other row is shifted by half a stone
    joint = (v % stone < 30) | (along % stone < 30)
    return np.where(joint, 256, (coarse + speckle(along // stone, row, seed)) // 4)


WEIGHTS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, int, Dice], np.ndarray]] = {
    "meadow": _meadow,
    "water": _water,
    "planks": _planks,
    "paving": _paving,
}
