"""One scene: ground, clutter, objects that may hide each other, shadows, light, camera noise."""

from __future__ import annotations

import numpy as np

from semiseg.base.labels import IGNORE
from semiseg.datasets.kinds.pocket import textures
from semiseg.datasets.kinds.pocket.ground import ground
from semiseg.datasets.kinds.pocket.integers import ONE, Dice, cosine, sine, speckle, turn
from semiseg.datasets.kinds.pocket.shapes import DRAWINGS, Drawn, ellipse
from semiseg.datasets.kinds.pocket.textures import any_colour, blend, darker

CLASSES = ("background", *DRAWINGS)
FINE = 2  # scenes are drawn FINE times finer in both directions, then averaged, which gives soft edges
# Objects that stand, swim or climb point in about these directions (degrees; 270 is up); all others in any direction.
BEARINGS = {"mushroom": (270,), "fish": (0, 180), "butterfly": (270,)}
SWING = {"mushroom": (-30, 30), "fish": (-40, 40), "butterfly": (-50, 50)}
SIZES = ((64, 64), (64, 72), (72, 64), (72, 72), (72, 80), (64, 80))  # height, width


def scene(dice: Dice) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 [h, w, 3] and label uint8 [h, w]; 255 where a pixel lies on an outline."""
    height, width = dice.choice(SIZES)
    y, x = np.mgrid[0 : height * FINE, 0 : width * FINE].astype(np.int64)
    canvas = ground(x, y, dice)
    label = np.zeros(x.shape, np.int64)
    sun = dice.between(0, 359)
    for kind, centre, radius in placed(height, width, dice):
        draw_on(canvas, label, kind, centre, radius, sun, dice)
    parts = [np.s_[i::FINE, j::FINE] for i in range(FINE) for j in range(FINE)]
    colour = sum(canvas[part] for part in parts) // len(parts)
    first = label[parts[0]]
    uniform = np.logical_and.reduce([label[part] == first for part in parts])
    return light(colour, sun, dice), np.where(uniform, first, IGNORE).astype(np.uint8)


def placed(height: int, width: int, dice: Dice) -> list[tuple[str, tuple[int, int], int]]:
    """Objects with kind, centre and radius in fine pixels, the lowest first; they may partly cover each other."""
    kinds = dice.shuffled(tuple(DRAWINGS))[: dice.between(3, 5)]
    if dice.chance(35):
        kinds.append(dice.choice(tuple(DRAWINGS)))
    kinds = dice.shuffled([*kinds, *("clutter" for _ in range(dice.between(1, 3)))])
    placed: list[tuple[str, tuple[int, int], int]] = []
    for kind in kinds:
        radius = dice.between(15, 23) * FINE if kind != "clutter" else dice.between(4, 8) * FINE
        for _ in range(24):
            centre = dice.between(9, height - 10) * FINE, dice.between(9, width - 10) * FINE
            if all(_apart(centre, radius, *other[1:]) for other in placed):
                placed.append((kind, centre, radius))
                break
    return placed


def _apart(a: tuple[int, int], r: int, b: tuple[int, int], s: int) -> bool:
    least = (r + s) * 70 // 100
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 > least * least


def draw_on(
    canvas: np.ndarray, label: np.ndarray, kind: str, centre: tuple[int, int], radius: int, sun: int, dice: Dice
) -> None:
    """Draw one object and its shadow, in place."""
    reach = radius * 5 // 4
    top, left = max(0, centre[0] - reach), max(0, centre[1] - reach)
    window = np.s_[top : centre[0] + reach, left : centre[1] + reach]
    y, x = np.mgrid[top : top + label[window].shape[0], left : left + label[window].shape[1]].astype(np.int64)
    dx, dy = (x - centre[1]) * ONE // radius, (y - centre[0]) * ONE // radius
    angle = dice.choice(BEARINGS.get(kind, (0,))) + dice.between(*SWING.get(kind, (0, 359)))
    u, v = turn(dx, dy, angle)
    v = v * ONE // dice.between(850, 1150)  # stretched
    v = v + u * u * dice.between(-14, 14) // 100 // ONE  # bent
    mask, colour = clutter(u, v, dice) if kind == "clutter" else DRAWINGS[kind](u, v, dice)
    shade = 256 + (dx * cosine(sun) + dy * sine(sun)) * dice.between(40, 90) // (ONE * ONE)
    colour = np.clip(colour * shade[..., None] >> 8, 0, 255)
    _shadow(canvas[window], mask, sun, dice.between(2, 5))
    canvas[window][mask] = colour[mask]
    label[window][mask] = 0 if kind == "clutter" else CLASSES.index(kind)


def _shadow(part: np.ndarray, mask: np.ndarray, sun: int, length: int) -> None:
    """Darken the ground on the side of the object away from the light."""
    down, right = -length * sine(sun) // ONE, -length * cosine(sun) // ONE
    moved = np.roll(mask, (down, right), (0, 1))
    part[moved] = part[moved] * 150 >> 8


def clutter(u: np.ndarray, v: np.ndarray, dice: Dice) -> Drawn:
    """Pebbles and twigs: background with the colours and patterns of the objects."""
    if dice.chance(40):
        mask = np.abs(v + u * u * dice.between(-20, 20) // 100 // ONE) < dice.between(110, 220)
        mask &= np.abs(u) < 1000
    else:
        mask = ellipse(u, v, (0, 0), (dice.between(700, 1000), dice.between(600, 900))) < 0
    base = any_colour(dice, ((0, 359), (20, 50)), (10, 90), (80, 220))
    pattern = dice.choice((textures.plain, textures.mottled, textures.mottled, textures.stripes, textures.fading))
    return mask, blend(pattern(u, v, dice), base, darker(base, dice.between(60, 85)))


def light(colour: np.ndarray, sun: int, dice: Dice) -> np.ndarray:
    """Illumination that differs from scene to scene: strength, tint, slope over the image, contrast, camera noise."""
    height, width = colour.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    slope = ((x - width // 2) * cosine(sun) + (y - height // 2) * sine(sun)) * dice.between(0, 160) // (ONE * 72)
    strength = dice.between(200, 285)
    tint = [dice.between(238, 274) for _ in range(3)]
    lit = colour * np.clip(strength + slope, 60, 400)[..., None] * np.array(tint, np.int64) >> 16
    contrast, mean = dice.between(220, 290), 110
    lit = ((lit - mean) * contrast >> 8) + mean
    grain, seed = dice.between(4, 14), dice.between(0, 1 << 30)
    noise = np.stack([speckle(x, y, seed + c) + speckle(x, y, seed + 7 + c) - 255 for c in range(3)], -1) * grain >> 8
    return np.clip(lit + noise, 0, 255).astype(np.uint8)
