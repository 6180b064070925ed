"""Inspect a user's folder: propose classes.yaml, and collect the facts that a suite needs."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets.dataset import Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.first_look import class_proposal
from semiseg.datasets.first_look.other_files import ignored
from semiseg.datasets.first_look.survey import Survey, path_of_classes, survey
from semiseg.datasets.kinds.folder import divide, pair
from semiseg.datasets.reading.classes import read_classes
from semiseg.datasets.reading.folder_masks import MASK_SUFFIXES

VAL_SHARE = 0.2
_GROUPS = 5  # with fewer labelled images, whole groups are a poor choice of val


@dataclass(frozen=True)
class Look:
    """The findings of `data init`, and its proposed block of the data set."""

    name: str
    dataset: dict[str, Any]
    classes: str  # text of classes.yaml
    survey: Survey


def look(path: Path, say: Callable[[str], None] = print, taken: Container[str] = ()) -> Look:
    """Write classes.yaml unless the folder already has a file of classes. Names in `taken` are not used."""
    path = Path(path)
    if not path.is_dir():
        found = "is not a folder" if path.exists() else "does not exist"
        raise UserError(f"{path} {found}; give the folder that holds images/ and masks/")
    with tempfile.TemporaryDirectory() as scratch:
        return _look(path, Path(scratch), say, taken)


def _look(path: Path, scratch: Path, say: Callable[[str], None], taken: Container[str]) -> Look:
    samples = pair(path, None, scratch)
    masks = [sample for sample in samples if sample.mask]
    if not masks:
        raise UserError(f"{path}/masks holds no mask with the stem of an image; label some images first")
    say(f"{path}: {len(samples)} images, {len(masks)} of them with a mask")
    if sentence := ignored((path / "images", path / "masks"), read=MASK_SUFFIXES):
        say(sentence)
    classes = _classes(path, masks, say)
    if len(masks) < 2:
        raise UserError(
            f"{path}/masks holds one mask, and a data set needs two: one image to train on and one to validate with; "
            "label another image and repeat the command"
        )
    dataset = {"kind": "folder", "data_root": str(path), "val_share": VAL_SHARE} | _grouping(samples, masks, say)
    found = survey(samples, read_classes(path_of_classes(path)), _subsets(path, dataset, scratch))
    _tell(found, say)
    return Look(dataset_name(path, taken), dataset, classes, found)


def _classes(path: Path, masks: list[Sample], say: Callable[[str], None]) -> str:
    present = path_of_classes(path)
    if present:
        say(f"{present} exists and is kept: {', '.join(read_classes(present).names)}")
        return present.read_text(encoding="utf-8")
    classes = class_proposal.propose(masks, say)
    files.write_text(path / "classes.yaml", classes)
    shapes = "\nbackground:" in classes
    names = "the names are the labels of your shapes, so keep them" if shapes else "replace the names by your own"
    say(f"wrote {path / 'classes.yaml'}; {names}:\n\n{classes}")
    return classes


def _grouping(samples: Sequence[Sample], masks: Sequence[Sample], say: Callable[[str], None]) -> dict[str, str]:
    groups = suggest_groups([sample.id for sample in samples])
    if not groups:
        return {}
    pattern, names = groups
    labelled = {re.match(pattern, sample.id).group(1) for sample in masks}
    said = f"the names fall into {len(names)} groups ({', '.join(names[:3])}, …)"
    if len(labelled) >= _GROUPS:
        say(
            f"{said}: with `group_pattern: '{pattern}'` no group is split over train and val; remove it from the data "
            "set if images of one group do not look alike"
        )
        return {"group_pattern": pattern}
    say(
        f"{said}; if images of one group look alike (frames of a video, tiles of a picture), add "
        f"`group_pattern: '{pattern}'` to the data set, and no group is split over train and val"
    )
    return {}


def _subsets(path: Path, dataset: dict[str, Any], scratch: Path) -> dict[str, Sequence[Sample]]:
    config = DatasetConfig.model_validate(dataset)
    samples = pair(path, config.group_pattern, scratch)
    subsets: dict[str, Sequence[Sample]] = defaultdict(tuple)
    try:
        subsets |= divide([sample for sample in samples if sample.mask], config)
    except UserError:  # the check reports it when the data set is used
        return {}
    held = {sample.group for name in ("val", "test") for sample in subsets[name] if sample.group is not None}
    subsets["extra"] = [sample for sample in samples if not sample.mask and sample.group not in held]
    return subsets


def _tell(found: Survey, say: Callable[[str], None]) -> None:
    width = max(len(name) for name in found.shares)
    for name, share in found.shares.items():
        say(f"  {name:<{width}} {100 * share:6.2f} % of labelled pixels, in {found.images_with[name]} images")
    if found.rare:
        say(
            f"warning: {', '.join(found.rare)} below 1 % of the labelled pixels: the suites weigh the classes and add "
            "a soft Dice loss, so that a training does not pass over them"
        )
    for remark in found.remarks:
        say(f"warning: {remark}")


def suggest_groups(ids: list[str]) -> tuple[str, list[str]] | None:
    """A pattern that groups names by folder, or by the text before the last _ or -.

    Only if the groups are few and large.
    """
    for pattern in (r"^(.+)/", r"^(.+)[_-]"):
        found = [match.group(1) for match in (re.match(pattern, one) for one in ids) if match]
        groups = sorted(set(found))
        if len(found) == len(ids) and 3 <= len(groups) <= len(ids) // 2:
            return pattern, groups
    return None


def dataset_name(path: Path, taken: Container[str] = ()) -> str:
    """A new name, made from the folder's name, that Snakemake's command line reads as text."""
    name = re.sub(r"[^a-z0-9_]+", "_", path.resolve().name.lower()).strip("_") or "mine"
    if not _is_text(name):
        name = f"data_{name}"
    return next(one for one in (name, *(f"{name}_{k}" for k in range(2, 10**6))) if one not in taken)


def _is_text(name: str) -> bool:
    """Whether Snakemake would read the name as a number in `--config suite=NAME`, such as 2024, 1e5 and inf."""
    try:
        float(name)
    except ValueError:
        return yaml.safe_load(name) == name
    return False
