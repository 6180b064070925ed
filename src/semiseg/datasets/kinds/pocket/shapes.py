"""The six kinds of objects in a `pocket` scene.

Each is a function of the object's coordinates (u along its axis, v across, ONE = its radius) that returns its mask and
its colours. Kinds share hues and patterns; only outline and pattern together distinguish them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from semiseg.datasets.kinds.pocket import textures
from semiseg.datasets.kinds.pocket.integers import Dice, turn
from semiseg.datasets.kinds.pocket.textures import Colour, any_colour, blend, darker

Hues = tuple[tuple[int, int], ...]
Pattern = Callable[[np.ndarray, np.ndarray, Dice], np.ndarray]
Drawn = tuple[np.ndarray, np.ndarray]  # mask [h, w], colour [h, w, 3]
# Two ranges of hue for each kind; most of them overlap with ranges of another kind.
FISH, LEAF, FLOWER = ((22, 38), (195, 215)), ((85, 120), (30, 44)), ((305, 330), (48, 58))
BUTTERFLY, BEETLE, MUSHROOM = ((215, 270), (46, 60)), ((352, 366), (115, 150)), ((352, 366), (22, 34))
INK: Colour = (34, 26, 30)


def own_colour(dice: Dice, hues: Hues, saturation: tuple[int, int], value: tuple[int, int]) -> Colour:
    """A random colour of the kind."""
    dice.skip()  # an unused draw: without it all later draws, and therefore the pixels, would change
    return any_colour(dice, hues, saturation, value)


def ellipse(u: np.ndarray, v: np.ndarray, at: tuple[int, int], half: tuple[int, int]) -> np.ndarray:
    """Signed: below 0 inside, 0 on the outline (in units of half axes squared, times 1024)."""
    du, dv = u - at[0], v - at[1]
    return du * du * 1024 // (half[0] * half[0]) + dv * dv * 1024 // (half[1] * half[1]) - 1024


def coat(u: np.ndarray, v: np.ndarray, dice: Dice, patterns: tuple[Pattern, ...], base: Colour) -> np.ndarray:
    """A surface with `base` and a second colour in one of the patterns."""
    second = (
        darker(base, dice.between(30, 55)) if dice.chance(40) else any_colour(dice, ((30, 60),), (0, 60), (210, 255))
    )
    return blend(dice.choice(patterns)(u, v, dice), base, second)


def paint(colour: np.ndarray, where: np.ndarray, with_: Colour) -> None:
    colour[where] = with_


def fish(u: np.ndarray, v: np.ndarray, dice: Dice) -> Drawn:
    deep = dice.between(400, 520)
    body = ellipse(u, v, (190, 0), (800, deep)) < 0
    back = -u - 380
    tail = (back > 0) & (u > -1000) & (np.abs(v) < 110 + back * dice.between(70, 95) // 100)
    tail &= np.abs(v) * 2 > (-u - 760)  # the notch
    fin = (u > -250) & (u < 350) & (np.abs(v) < deep + 60 + (350 - u) // 4)
    fins = fin & (ellipse(u, v, (50, 0), (400, deep + 260)) < 0)
    base = own_colour(dice, FISH, (160, 240), (170, 255))
    colour = coat(u, v, dice, (textures.stripes, textures.stripes, textures.scales), base)
    paint(colour, (tail | fins) & ~body, darker(base, dice.between(60, 85)))
    paint(colour, ellipse(u, v, (680, 110), (120, 120)) < 0, (245, 245, 240))
    paint(colour, ellipse(u, v, (700, 110), (70, 70)) < 0, INK)
    return body | tail | fins, colour


def leaf(u: np.ndarray, v: np.ndarray, dice: Dice) -> Drawn:
    width = dice.between(480, 680)
    tip = dice.between(-250, 250)  # where the leaf is widest
    half = width - width * (u - tip) * (u - tip) // np.where(u > tip, (1000 - tip) ** 2, (800 + tip) ** 2)
    if dice.chance(50):  # toothed edge
        half -= (u + np.abs(v)) % 170 // 3
    blade = (np.abs(v) < half) & (u > -800)
    stalk = (u <= -600) & (u > -1050) & (np.abs(v) < 70)
    base = own_colour(dice, LEAF, (120, 230), (120, 230))
    second = own_colour(dice, LEAF, (90, 220), (120, 240))
    colour = blend(dice.choice((textures.plain, textures.mottled, textures.fading))(u, v, dice), base, second)
    light = tuple(min(255, c + 60) for c in base) if dice.chance(65) else darker(base, 50)
    period = dice.between(260, 360)
    paint(colour, ((u - np.abs(v) * dice.between(6, 12) // 10) % period < 75) | (np.abs(v) < 55), light)
    return blade | stalk, colour


def flower(u: np.ndarray, v: np.ndarray, dice: Dice) -> Drawn:
    petals = dice.between(5, 8)
    length = dice.between(300, 360)
    width = {5: 330, 6: 275, 7: 240, 8: 205}[petals] * dice.between(85, 110) // 100
    start = dice.between(0, 359)
    base = own_colour(dice, FLOWER, (20, 200), (170, 255))
    inner = darker(base, dice.between(45, 80)) if dice.chance(60) else own_colour(dice, FLOWER, (60, 200), (170, 255))
    colour = blend(np.clip(256 - (u * u + v * v) // 2200, 0, 256), base, inner)
    mask = np.zeros(u.shape, bool)
    for petal in range(petals):
        pu, pv = turn(u, v, start + petal * 360 // petals)
        edge = ellipse(pu, pv, (980 - length, 0), (length, width))
        paint(colour, (edge < 0) & (edge > -260) & ~mask, darker(base, 78))
        mask |= edge < 0
    core = dice.between(260, 400)
    disc = ellipse(u, v, (0, 0), (core, core))
    middle = any_colour(dice, ((25, 60),), (120, 230), (110, 250))
    paint(colour, disc < 0, middle)
    paint(colour, (disc < 0) & (disc > -420), darker(middle, 65))
    return mask | (disc < 0), colour


def butterfly(u: np.ndarray, v: np.ndarray, dice: Dice) -> Drawn:
    side = np.abs(v)
    fu, fv = turn(u - dice.between(220, 340), side - 500, dice.between(20, 50))
    fore = ellipse(fu, fv, (0, 0), (dice.between(360, 440), dice.between(480, 580)))
    hu, hv = turn(u + dice.between(400, 480), side - 400, dice.between(-30, 10))
    hind = ellipse(hu, hv, (0, 0), (dice.between(330, 430), dice.between(330, 430)))
    base = own_colour(dice, BUTTERFLY, (150, 240), (170, 255))
    patterns = (textures.plain, textures.spots)
    colour = coat(u, side, dice, patterns, base)
    edge = np.minimum(fore, hind)
    rim = INK if dice.chance(60) else darker(base, 40)
    paint(colour, (edge > -dice.between(250, 480)), rim)
    body = ellipse(u, v, (60, 0), (720, dice.between(85, 120))) < 0
    paint(colour, body, darker(rim, 80))
    return (edge < 0) | body, colour


def beetle(u: np.ndarray, v: np.ndarray, dice: Dice) -> Drawn:
    wide = dice.between(520, 660)
    back = ellipse(u, v, (-120, 0), (dice.between(760, 840), wide))
    head = ellipse(u, v, (700, 0), (250, wide * 58 // 100))
    legs = (np.abs(v) < wide + 220) & ((u + np.abs(v) // 3 + 2048) % 480 < 110) & (u > -700) & (u < 560)
    base = own_colour(dice, BEETLE, (140, 245), (120, 245))
    colour = coat(u, np.abs(v), dice, (textures.spots, textures.plain, textures.bands), base)
    gloss = ellipse(u, np.abs(v), (150, wide // 2), (240, 110)) < 0
    colour = np.where((gloss & (back < 0))[..., None], (colour + 2 * 255) // 3, colour)
    paint(colour, (np.abs(v) < 45) & (back < 0), INK)
    paint(colour, back >= 0, INK)
    return (back < 0) | (head < 0) | legs, colour


def mushroom(u: np.ndarray, v: np.ndarray, dice: Dice) -> Drawn:
    brim = dice.between(-120, 120)
    height, wide = 950 - brim, dice.between(700, 930)
    cap = (ellipse(u, v, (brim, 0), (height, wide)) < 0) & (u > brim - 90 + v * v // 6000)
    thick = dice.between(190, 330)
    stem = (u > -950) & (u < brim + 100) & (np.abs(v) < thick + (u + 950) * (-dice.between(0, 12)) // 100)
    base = own_colour(dice, MUSHROOM, (150, 240), (130, 250))
    colour = coat(u, v, dice, (textures.spots, textures.spots, textures.plain), base)
    pale = any_colour(dice, ((20, 60),), (15, 90), (190, 250))
    paint(colour, stem & ~cap, pale)
    paint(colour, stem & ~cap & (u > brim - 330) & (u < brim - 200), darker(pale, 70))
    return cap | stem, colour


DRAWINGS: dict[str, Callable[[np.ndarray, np.ndarray, Dice], Drawn]] = {
    "fish": fish,
    "leaf": leaf,
    "flower": flower,
    "butterfly": butterfly,
    "beetle": beetle,
    "mushroom": mushroom,
}
