"""Look at a user's folder, propose classes.yaml, and print a suite that runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.datasets.classes import read_classes
from semiseg.datasets.dataset import Sample
from semiseg.datasets.images import image_size, read_bytes
from semiseg.datasets.kinds.folder import pair
from semiseg.datasets.masks import GREY_MODES, MAX_CLASSES, open_mask
from semiseg.datasets.other_files import ignored

MOST_MASKS = 500  # looked at for the proposal; `semiseg data check` reads all
_RARE = 1e-4  # share of pixels below which one of many colours is likelier a smoothed edge than a class
_MOST_COLOURS = 64
_MANY_VALUES, _LITTLE = 16, 0.05  # above so many values, the rarer half on less than this share of pixels is suspicious
_LABELLED_TO_HIDE = 3  # one for val, one that keeps its mask, one that loses it
_READ = 100  # images whose sizes decide the crop
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Proposal:
    classes: str  # text of classes.yaml
    suite: str  # text for params.yaml


def init(path: Path, say: Callable[[str], None] = print, taken: Container[str] = ()) -> Proposal:
    """Propose; write classes.yaml unless the folder describes its classes already. Names in `taken` are avoided."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path} does not exist; give the folder that holds images/ and masks/")
    samples = pair(path, None)
    masks = [sample for sample in samples if sample.mask]
    if not masks:
        raise UserError(f"{path}/masks holds no mask with the stem of an image; label some images first")
    say(f"{path}: {len(samples)} images, {len(masks)} of them with a mask")
    if sentence := ignored((path / "images", path / "masks")):
        say(sentence)
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
    if len(masks) < 2:
        raise UserError(
            f"{path}/masks holds one mask, and a data set needs two: one image to train on and one to validate with; "
            "label another and type this again"
        )
    groups = suggest_groups([sample.id for sample in samples])
    if groups:
        pattern, names = groups
        say(
            f"the names fall into {len(names)} groups ({', '.join(names[:3])}, …); if images of one group look alike "
            f"(frames of a video, tiles of a picture), add `group_pattern: '{pattern}'` to the data set below, and no "
            "group is split over train and val\n"
        )
    name = dataset_name(path, taken)
    suite = propose_suite(name, path, samples, say)
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
    if values:
        _warn_of_smoothed_edges(values, say)
        return _index_classes(values, display)
    return _colour_classes(colours)


def _count(mask: Path, values: Counter[int], colours: Counter[Colour], display: dict[int, Colour]) -> None:
    # The opening of the check and the training: what they refuse (a JPEG, whose labels are not exact) is refused here.
    image = open_mask(read_bytes(mask), mask)
    if image.mode in ("RGB", "RGBA"):
        rgb = np.asarray(image).astype(np.int32)
        found, counts = np.unique(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2], return_counts=True)
        colours.update({_colour(int(c)): int(n) for c, n in zip(found, counts, strict=True)})
        return
    if image.mode not in GREY_MODES:
        raise UserError(f"{mask} is a mask of mode {image.mode}; save it as PNG with one channel or in RGB colours")
    found, counts = np.unique(np.asarray(image).astype(np.int64), return_counts=True)
    values.update({int(v): int(n) for v, n in zip(found, counts, strict=True)})
    if image.mode == "P":
        table = image.getpalette("RGB") or []
        display.update({int(v): tuple(table[3 * v : 3 * v + 3]) for v in found if 3 * v + 3 <= len(table)})


def _warn_of_smoothed_edges(values: Counter[int], say: Callable[[str], None]) -> None:
    """Anti-aliasing puts a little of every grey between two classes; a list of many true classes may look the same."""
    rarer = sorted(values.values())[: len(values) // 2]
    if len(values) > _MANY_VALUES and sum(rarer) < _LITTLE * values.total():
        say(
            f"warning: the masks hold {len(values)} values, half of them on {100 * sum(rarer) / values.total():.1g} % "
            "of the pixels: if edges are smoothed, save the masks without anti-aliasing, remove classes.yaml and type "
            "this again"
        )


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


def dataset_name(path: Path, taken: Container[str] = ()) -> str:
    """From the folder's name, such as the command line takes for a text and params.yaml does not have yet."""
    name = re.sub(r"[^a-z0-9_]+", "_", path.resolve().name.lower()).strip("_") or "mine"
    if not _is_text(name):
        name = f"data_{name}"
    return next(one for one in (name, *(f"{name}_{k}" for k in range(2, 10**6))) if one not in taken)


def _is_text(name: str) -> bool:
    """Snakemake makes a number of `--config suite=2024`, and of 1e5 and inf."""
    try:
        float(name)
    except ValueError:
        return yaml.safe_load(name) == name
    return False


def propose_suite(name: str, path: Path, samples: list[Sample], say: Callable[[str], None]) -> str:
    """Small enough for a CPU; with images without masks, all labels are used, else a quarter of them."""
    crop = max(32, min(128, _shortest(samples, say) // 32 * 32))
    full = {"family": "full", "partitions": ["full"]}
    splits, methods = full, {"supervised": {}, "fixmatch": {}}
    if all(sample.mask for sample in samples):
        splits = {"family": "random:0", "partitions": ["1/4"]}
        if len(samples) < _LABELLED_TO_HIDE:  # the one that val leaves cannot be divided
            splits, methods = full, {"supervised": {}}
            say(
                "with so few images none can be hidden from the methods: the suite below is of supervised training only"
            )
    suite = {
        "dataset": name,
        "splits": splits,
        "seeds": [0],
        "recipe": {
            "network": {"architecture": "small"},
            "crop": crop,
            "batch": {"labelled": 4, "unlabelled": 4},
            "iterations": 1000,
            # No warm-up: whoever shortens the iterations would have to shorten it too.
            "optimiser": {"name": "adamw", "lr": 0.003, "weight_decay": 0.01, "schedule": "cosine"},
        },
        "evaluation": {"every": 250},
        "methods": methods,
    }
    dataset = {"kind": "folder", "data_root": str(path), "val_share": 0.2}
    return yaml.safe_dump(
        {"datasets": {name: dataset}, "suites": {name: suite}}, sort_keys=False, default_flow_style=None
    )


def _shortest(samples: list[Sample], say: Callable[[str], None]) -> int:
    """The shortest side of the images that can be read; of the others the reason is said, and goes on to the check."""
    sides = []
    for sample in samples[:_READ]:
        try:
            sides.append(min(image_size(sample.image)))
        except UserError as error:
            say(f"warning: {error}")
    if not sides:
        raise UserError(f"none of the first images of {samples[0].image.parent} can be read; replace them")
    return min(sides)
