"""Look at a user's folder, propose classes.yaml, and print a suite that runs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

import yaml

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets import class_proposal
from semiseg.datasets.classes import read_classes
from semiseg.datasets.dataset import Sample
from semiseg.datasets.folder_masks import MASK_SUFFIXES
from semiseg.datasets.images import image_size
from semiseg.datasets.kinds.folder import pair
from semiseg.datasets.other_files import ignored

_LABELLED_TO_HIDE = 3  # one for val, one that keeps its mask, one that loses it
_READ = 100  # images whose sizes decide the crop


@dataclass(frozen=True)
class Proposal:
    classes: str  # text of classes.yaml
    suite: str  # text for params.yaml


def init(path: Path, say: Callable[[str], None] = print, taken: Container[str] = ()) -> Proposal:
    """Propose; write classes.yaml unless the folder describes its classes already. Names in `taken` are avoided."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path} does not exist; give the folder that holds images/ and masks/")
    with tempfile.TemporaryDirectory() as scratch:
        return _init(path, Path(scratch), say, taken)


def _init(path: Path, scratch: Path, say: Callable[[str], None], taken: Container[str]) -> Proposal:
    samples = pair(path, None, scratch)
    masks = [sample for sample in samples if sample.mask]
    if not masks:
        raise UserError(f"{path}/masks holds no mask with the stem of an image; label some images first")
    say(f"{path}: {len(samples)} images, {len(masks)} of them with a mask")
    if sentence := ignored((path / "images", path / "masks"), read=MASK_SUFFIXES):
        say(sentence)
    present = next(
        (path / file for file in ("classes.yaml", "classes.yml", "classes.txt") if (path / file).exists()), None
    )
    if present:
        classes = present.read_text(encoding="utf-8")
        say(f"{present} exists and is kept: {', '.join(read_classes(present).names)}")
    else:
        classes = class_proposal.propose(masks, say)
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
