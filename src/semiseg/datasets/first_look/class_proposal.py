"""Propose classes.yaml from the masks of a folder; the user replaces the names."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.datasets.dataset import Sample
from semiseg.datasets.reading import matfile, polygons
from semiseg.datasets.reading.folder_masks import whole_numbers
from semiseg.datasets.reading.images import read_bytes
from semiseg.datasets.reading.masks import GREY_MODES, MAX_CLASSES, open_mask

MOST_MASKS = 500  # masks that the proposal reads; `semiseg data check` reads all
_MANY = 16  # with more values or colours, some may come from smoothed edges
_LITTLE = 0.05  # smoothed edges: least share of pixels in the rarer half of the values
_STANDS_OUT = 10  # with smoothed edges, a class has at least this many times the pixels of the median value
_MIXED = 8  # with smoothed edges, distance from the line between two frequent colours below which a colour is no class
_OVERSHOOT = 0.1  # share of the line's length
_CLEAR = 0.5  # least share of pixels with a certain class; below, the masks are photographs
Colour = tuple[int, int, int]


@dataclass
class Found:
    """Counts of pixels by value and by colour, of shapes by name, and the palettes' colours of values."""

    values: Counter[int] = field(default_factory=Counter)
    colours: Counter[Colour] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    display: dict[int, Colour] = field(default_factory=dict)


def propose(masks: list[Sample], say: Callable[[str], None]) -> str:
    found = Found()
    for sample in masks[:MOST_MASKS]:
        _count(sample.mask, found)
    if len(masks) > MOST_MASKS:
        say(f"looked at {MOST_MASKS} of {len(masks)} masks; `semiseg data check` reads them all")
    kinds = [name for name in ("values", "colours", "shapes") if getattr(found, name)]
    if len(kinds) > 1:
        raise UserError(
            f"the masks are of different kinds ({' and '.join(kinds)}); convert them to one, or write classes.yaml "
            "yourself (docs/own-data.md)"
        )
    if found.shapes:
        return _of_shapes(found.shapes)
    if found.values:
        return _of_values(found.values, found.display, say)
    return _of_colours(found.colours, say)


def _count(mask: Path, found: Found) -> None:
    data = read_bytes(mask)
    if polygons.is_labelme(data):
        found.shapes.update(name for name in polygons.names(data, mask) if name not in polygons.IGNORED_NAMES)
        return
    if matfile.is_matlab(data):
        found.values.update(_counted(whole_numbers(data, mask)))
        return
    # The same function opens masks in check and training, so files that these reject (such as JPEG) are rejected here.
    image = open_mask(data, mask)
    if image.mode in ("RGB", "RGBA"):
        rgb = np.asarray(image).astype(np.int32)
        packed = _counted(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2])
        found.colours.update({(c >> 16, c >> 8 & 255, c & 255): n for c, n in packed.items()})
        return
    if image.mode not in GREY_MODES:
        raise UserError(f"{mask} is a mask of mode {image.mode}; save it as PNG with one channel or in RGB colours")
    values = _counted(np.asarray(image).astype(np.int64))
    found.values.update(values)
    if image.mode == "P":
        table = image.getpalette("RGB") or []
        found.display.update({v: tuple(table[3 * v : 3 * v + 3]) for v in values if 3 * v + 3 <= len(table)})


def _counted(array: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(array, return_counts=True)
    return {int(value): int(count) for value, count in zip(found, counts, strict=True)}


def _of_shapes(shapes: Counter[str]) -> str:
    names = sorted(shapes)
    background = next((name for name in names if name.strip("_").lower() == "background"), None)
    if background is None:
        background = "background"
        names = [background, *names]
    _enough(len(names), "labels")
    lines = [
        "masks: index",
        f"background: {_quoted(background)}  # the class of pixels outside of all shapes",
        "classes:",
    ]
    lines += [f"  - {{name: {_quoted(name)}}}  # {shapes[name]} shapes" for name in names]
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    """The text as a YAML scalar."""
    import yaml

    return yaml.safe_dump(name, default_style='"', allow_unicode=True, width=10**6).strip()


def _of_values(values: Counter[int], display: dict[int, Colour], say: Callable[[str], None]) -> str:
    chosen = _without_edges(values, "value", say)
    # {0, 255} alone is a binary mask far more often than one class and an ignored border.
    ignored = [IGNORE] if IGNORE in chosen and set(chosen) != {0, IGNORE} else []
    named = sorted(set(chosen) - set(ignored))
    _enough(len(named), "values")
    lines = ["masks: index", "classes:"]
    for value in named:
        colour = f", colour: {list(display[value])}" if value in display else ""
        lines.append(f"  - {{name: class {value}, value: {value}{colour}}}  # {_share(values, value)}")
    lines.append(f"ignore: {ignored}  # values that are not scored; 255 by custom")
    return "\n".join(lines) + "\n"


def _of_colours(colours: Counter[Colour], say: Callable[[str], None]) -> str:
    """Every colour becomes a class; the user decides which colours are ignored."""
    chosen = _without_edges(colours, "colour", say)
    _enough(len(chosen), "colours")
    ranked = sorted(chosen, key=lambda c: (-colours[c], c))
    lines = ["masks: colour", "classes:"]
    lines += [f"  - {{name: class {k}, colour: {list(c)}}}  # {_share(colours, c)}" for k, c in enumerate(ranked)]
    lines.append("ignore: []  # colours that are not scored: move a class's colour here if it means void")
    return "\n".join(lines) + "\n"


def _without_edges(counts: Counter, what: str, say: Callable[[str], None]) -> list:
    """Drop values that come from anti-aliased edges. Such values are rare, but true classes may be rare, too."""
    rarer = sorted(counts.values())[: len(counts) // 2]
    if len(counts) <= _MANY or sum(rarer) >= _LITTLE * counts.total():
        if len(counts) > MAX_CLASSES:
            raise UserError(_photographs(counts, what))
        return list(counts)
    chosen = [mark for mark, count in counts.items() if count >= _STANDS_OUT * rarer[-1]]
    if what == "colour":
        chosen = _without_mixtures(chosen, counts)
    between = counts.total() - sum(counts[mark] for mark in chosen)
    if between > _CLEAR * counts.total() or len(chosen) < 2:
        raise UserError(_photographs(counts, what))
    say(
        f"warning: the masks hold {len(counts)} {what}s; {len(chosen)} of them stand out and become classes. "
        f"The others, on {between} pixels ({100 * between / counts.total():.1g} %), look like smoothed edges: save the "
        "masks without anti-aliasing, or add `tolerance:` to classes.yaml, by which they count as the nearest class "
        "(`semiseg data check` says how large it has to be). If they are classes, add them to the list"
    )
    return chosen


def _without_mixtures(colours: list[Colour], counts: Counter[Colour]) -> list[Colour]:
    """Drop colours near the line between two colours with many times their pixels: smoothing makes such colours."""
    kept: list[Colour] = []
    for colour in sorted(colours, key=lambda one: -counts[one]):
        frequent = [one for one in kept if counts[one] >= _STANDS_OUT * counts[colour]]
        pairs = itertools.combinations_with_replacement(frequent, 2)
        if not any(_off_line(colour, *pair) <= _MIXED for pair in pairs):
            kept.append(colour)
    return kept


def _off_line(colour: Colour, one: Colour, other: Colour) -> float:
    """Distance to the line from one colour to the other, and a little beyond, because sharp filters overshoot."""
    point, start, end = (np.array(each, dtype=float) for each in (colour, one, other))
    way = end - start
    share = np.clip((point - start) @ way / max(way @ way, 1), -_OVERSHOOT, 1 + _OVERSHOOT)
    return float(np.linalg.norm(point - start - share * way))


def _photographs(counts: Counter, what: str) -> str:
    return (
        f"the masks hold {len(counts)} different {what}s, none of which stand out: edges are smoothed, or the files "
        "were saved lossily; save masks without anti-aliasing as PNG"
    )


def _enough(count: int, what: str) -> None:
    if not 2 <= count <= MAX_CLASSES:
        raise UserError(f"the masks hold {count} different {what}; between 2 and {MAX_CLASSES} classes are possible")


def _share(counts: Counter, key: object) -> str:
    return f"{100 * counts[key] / sum(counts.values()):.2f} % of pixels"
