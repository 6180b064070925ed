"""Colours and surface patterns. Every pattern is a weight 0..256 per point that blends two colours."""

from __future__ import annotations

import numpy as np

from semiseg.datasets.kinds.pocket.integers import Dice, clouds, turn

Colour = tuple[int, int, int]


def hue(angle: int, saturation: int, value: int) -> Colour:
    """Colour from a hue in degrees and saturation and value in 0..255."""
    angle %= 360
    ramp = 255 - abs(angle % 120 - 60) * 255 // 60  # 0 at the primaries, 255 between them
    sector = angle // 60
    high, middle, low = 255, ramp, 0
    order = {
        0: (high, middle, low),
        1: (middle, high, low),
        2: (low, high, middle),
        3: (low, middle, high),
        4: (middle, low, high),
        5: (high, low, middle),
    }
    red, green, blue = ((255 - (255 - c) * saturation // 255) * value // 255 for c in order[sector])
    return red, green, blue


def any_colour(
    dice: Dice, hues: tuple[tuple[int, int], ...], saturation: tuple[int, int], value: tuple[int, int]
) -> Colour:
    low, high = dice.choice(hues)
    return hue(dice.between(low, high), dice.between(*saturation), dice.between(*value))


def darker(colour: Colour, percent: int) -> Colour:
    red, green, blue = (c * percent // 100 for c in colour)
    return red, green, blue


def blend(weight: np.ndarray, base: Colour | np.ndarray, other: Colour | np.ndarray) -> np.ndarray:
    """Weight 0 gives `base`, 256 gives `other`."""
    w = weight[..., None]
    return (np.asarray(base, np.int64) * (256 - w) + np.asarray(other, np.int64) * w) >> 8


def plain(u: np.ndarray, v: np.ndarray, dice: Dice) -> np.ndarray:
    return np.full(u.shape, dice.between(0, 60), np.int64)


def stripes(u: np.ndarray, v: np.ndarray, dice: Dice) -> np.ndarray:
    """Bands across u, slightly slanted and curved."""
    period = dice.between(300, 520)
    along = u + v * dice.between(-3, 3) // 10 + v * v // dice.between(2500, 6000)
    phase = (along + dice.between(0, 4096)) % period
    return np.where(phase < period * dice.between(38, 55) // 100, 256, 0)


def bands(u: np.ndarray, v: np.ndarray, dice: Dice) -> np.ndarray:
    """Stripes along u."""
    return stripes(v, u, dice)


def spots(u: np.ndarray, v: np.ndarray, dice: Dice) -> np.ndarray:
    """Staggered discs."""
    period = dice.between(420, 620)
    u, v = turn(u, v, dice.between(0, 359))
    row = v // period
    x = (u + (row % 2) * (period // 2)) % period - period // 2
    y = v % period - period // 2
    radius = period * dice.between(28, 36) // 100
    return np.where(x * x + y * y < radius * radius, 256, 0)


def mottled(u: np.ndarray, v: np.ndarray, dice: Dice) -> np.ndarray:
    return clouds(u, v, dice.between(260, 420), dice.between(0, 1 << 30))


def fading(u: np.ndarray, v: np.ndarray, dice: Dice) -> np.ndarray:
    """One colour at one end, the other at the other."""
    return np.clip(128 + u * dice.choice((-1, 1)) // 7, 0, 256)


def scales(u: np.ndarray, v: np.ndarray, dice: Dice) -> np.ndarray:
    """Overlapping arcs, as on a fish."""
    period = dice.between(260, 360)
    row = v // period
    x = (u + (row % 2) * (period // 2)) % period - period // 2
    y = v % period
    distance = x * x + y * y
    return np.clip(distance * 256 // (period * period), 0, 256)
