"""Look at a user's folder, propose classes.yaml, and print a suite that runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from semiseg import files
from semiseg.data.classes import read_classes
from semiseg.data.datasets import Sample
from semiseg.data.folder import pair
from semiseg.data.images import image_size, open_image, read_bytes
from semiseg.data.masks import IGNORE, MAX_CLASSES
from semiseg.errors import UserError

MOST_MASKS = 500  # looked at for the proposal; `semiseg data check` reads all
_RARE = 1e-4  # share of pixels below which one of many colours is likelier a smoothed edge than a class
_MOST_COLOURS = 64
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Proposal:
    classes: str  # text of classes.yaml
    suite: str  # text for params.yaml


def init(path: Path, say: Callable[[str], None] = print) -> Proposal:
    """Propose; write classes.yaml unless the folder describes its classes already."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path} does not exist; give the folder that holds images/ and masks/")
    samples = pair(path, None)
    masks = [sample for sample in samples if sample.mask]
    if not masks:
        raise UserError(f"{path}/masks holds no mask with the stem of an image; label some images first")
    say(f"{path}: {len(samples)} images, {len(masks)} of them with a mask")
    present = next(
        (path / file for file in ("classes.yaml", "classes.yml", "classes.txt") if (path / file).exists()), None
    )
    if present:
        classes = present.read_text(encoding="utf-8")
        say(f"{present} exists and is kept: {', '.join(read_classes(present).names)}")
    else:
        classes = propose_classes(masks, say)
        files.write_text(path / "classes.yaml", classes)
        say(f"wrote {path / 'classes.yaml'}; replace the names by your own:\n\n{classes}")
    groups = suggest_groups([sample.id for sample in samples])
    if groups:
        pattern, names = groups
        say(
            f"the names fall into {len(names)} groups ({', '.join(names[:3])}, …); if images of one group look alike "
            f"(frames of a video, tiles of a picture), add `group_pattern: '{pattern}'` to the data set below, and no "
            "group is split over train and val\n"
        )
    name = dataset_name(path)
    suite = propose_suite(name, path, samples)
    say(
        "add to params.yaml, below `datasets:` and `suites:`, then run "
        f"`snakemake --profile local all --config suite={name}`:\n\n{suite}"
    )
    return Proposal(classes, suite)


def propose_classes(masks: list[Sample], say: Callable[[str], None]) -> str:
    values: Counter[int] = Counter()
    colours: Counter[Colour] = Counter()
    display: dict[int, Colour] = {}
    for sample in masks[:MOST_MASKS]:
        _count(sample.mask, values, colours, display)
    if len(masks) > MOST_MASKS:
        say(f"looked at {MOST_MASKS} of {len(masks)} masks; `semiseg data check` reads them all")
    if values and colours:
        raise UserError("some masks have one channel, others are in colour; convert them to one kind")
    return _index_classes(values, display) if values else _colour_classes(colours)


def _count(mask: Path, values: Counter[int], colours: Counter[Colour], display: dict[int, Colour]) -> None:
    image = open_image(read_bytes(mask), mask)
    if image.mode in ("RGB", "RGBA"):
        rgb = np.asarray(image).astype(np.int32)
        found, counts = np.unique(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2], return_counts=True)
        colours.update({_colour(int(c)): int(n) for c, n in zip(found, counts, strict=True)})
        return
    if image.mode not in ("1", "L", "P", "I;16", "I"):
        raise UserError(f"{mask} is a mask of mode {image.mode}; save it as PNG with one channel or in RGB colours")
    found, counts = np.unique(np.asarray(image).astype(np.int64), return_counts=True)
    values.update({int(v): int(n) for v, n in zip(found, counts, strict=True)})
    if image.mode == "P":
        table = image.getpalette("RGB") or []
        display.update({int(v): tuple(table[3 * v : 3 * v + 3]) for v in found if 3 * v + 3 <= len(table)})


def _colour(packed: int) -> Colour:
    return packed >> 16, packed >> 8 & 255, packed & 255


def _index_classes(values: Counter[int], display: dict[int, Colour]) -> str:
    # {0, 255} alone is a binary mask far more often than one class and an ignored border.
    ignored = [IGNORE] if IGNORE in values and set(values) != {0, IGNORE} else []
    named = sorted(set(values) - set(ignored))
    _enough(len(named), "values")
    lines = ["masks: index", "classes:"]
    for value in named:
        colour = f", colour: {list(display[value])}" if value in display else ""
        lines.append(f"  - {{name: class {value}, value: {value}{colour}}}  # {_share(values, value)}")
    lines.append(f"ignore: {ignored}  # values that are not scored; 255 by custom")
    return "\n".join(lines) + "\n"


def _colour_classes(colours: Counter[Colour]) -> str:
    """Every colour is a class; only the user knows which of them is void."""
    threshold = _RARE * sum(colours.values())
    rare = [c for c in colours if colours[c] < threshold]
    if len(colours) > _MOST_COLOURS and len(rare) > len(colours) // 2:
        raise UserError(
            f"the masks hold {len(colours)} colours, {len(rare)} of them rare: edges are smoothed, or the files were "
            "saved lossily; save masks without anti-aliasing as PNG"
        )
    _enough(len(colours), "colours")
    ranked = sorted(colours, key=lambda c: (-colours[c], c))
    lines = ["masks: colour", "classes:"]
    lines += [f"  - {{name: class {k}, colour: {list(c)}}}  # {_share(colours, c)}" for k, c in enumerate(ranked)]
    lines.append("ignore: []  # colours that are not scored: move a class's colour here if it means void")
    return "\n".join(lines) + "\n"


def _enough(count: int, what: str) -> None:
    if not 2 <= count <= MAX_CLASSES:
        raise UserError(f"the masks hold {count} different {what}; between 2 and {MAX_CLASSES} classes are possible")


def _share(counts: Counter, key: object) -> str:
    return f"{100 * counts[key] / sum(counts.values()):.2f} % of pixels"


def suggest_groups(ids: list[str]) -> tuple[str, list[str]] | None:
    """A pattern under which names share a folder, or what stands before their last _ or -: few groups of several."""
    for pattern in (r"^(.+)/", r"^(.+)[_-]"):
        found = [match.group(1) for match in (re.match(pattern, one) for one in ids) if match]
        groups = sorted(set(found))
        if len(found) == len(ids) and 3 <= len(groups) <= len(ids) // 2:
            return pattern, groups
    return None


def dataset_name(path: Path) -> str:
    return re.sub(r"[^a-z0-9_]+", "_", path.resolve().name.lower()).strip("_") or "mine"


def propose_suite(name: str, path: Path, samples: list[Sample]) -> str:
    """Small enough for a CPU; with images without masks, all labels are used, else a quarter of them."""
    unlabelled = any(sample.mask is None for sample in samples)
    shortest = min(min(image_size(sample.image)) for sample in samples[:100])
    crop = max(32, min(128, shortest // 32 * 32))
    splits = {"family": "full", "partitions": ["full"]} if unlabelled else {"family": "random:0", "partitions": ["1/4"]}
    suite = {
        "dataset": name,
        "splits": splits,
        "seeds": [0],
        "recipe": {
            "network": {"architecture": "small"},
            "crop": crop,
            "batch": {"labelled": 4, "unlabelled": 4},
            "iterations": 1000,
            "optimiser": {"name": "adamw", "lr": 0.003, "weight_decay": 0.01, "schedule": "cosine", "warmup": 20},
        },
        "evaluation": {"every": 250},
        "methods": {"supervised": {}, "fixmatch": {}},
    }
    dataset = {"kind": "folder", "data_root": str(path), "val_share": 0.2}
    return yaml.safe_dump(
        {"datasets": {name: dataset}, "suites": {name: suite}}, sort_keys=False, default_flow_style=None
    )
