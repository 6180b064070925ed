"""A user's own data: images/ and masks/ with the same names, classes.yaml, and images without a mask as extra pool."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.base.ids import read_ids
from semiseg.datasets.dataset import Dataset, Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import OwnKind
from semiseg.datasets.reading import coco
from semiseg.datasets.reading.classes import read_classes
from semiseg.datasets.reading.folder_masks import MASK_SUFFIXES
from semiseg.datasets.reading.images import SUFFIXES
from semiseg.splits.order import keyed_order


class Folder(OwnKind):
    own = True
    extra_by_default = True
    place = "images and masks, and at the lists or shares of {}"

    @classmethod
    def has_test(cls, config: DatasetConfig) -> bool:
        return config.test_list is not None or config.test_share > 0

    @classmethod
    def inputs(cls, config: DatasetConfig) -> tuple[Path | None, ...]:
        return (config.classes_file, config.val_list, config.test_list)

    @classmethod
    def read(cls, name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
        classes = read_classes(config.classes_file or classes_file(source))
        samples = pair(source, config.group_pattern, prepared)
        labelled = [sample for sample in samples if sample.mask]
        if not labelled:
            raise UserError(f"{source}/masks holds no mask with the stem of an image; masks are named as their images")
        subsets = divide(labelled, config)
        held_out = {sample.group for s in ("val", "test") for sample in subsets.get(s, ()) if sample.group is not None}
        unlabelled = [sample for sample in samples if not sample.mask]
        extra = tuple(sample for sample in unlabelled if sample.group not in held_out)
        notes = classes.notes
        if len(extra) < len(unlabelled):
            left_out = len(unlabelled) - len(extra)
            notes += (f"{left_out} images without a mask are left out: their groups are in val or test",)
        if extra and config.extra:
            subsets["extra"] = extra
        return Dataset(
            name=name,
            root=source,
            classes=classes.names,
            palette=classes.palette,
            redistributable=config.redistributable,
            subsets=subsets,
            coding=classes.coding,
            notes=notes,
        )


def classes_file(source: Path) -> Path:
    for file in ("classes.yaml", "classes.yml", "classes.txt"):
        if (source / file).exists():
            return source / file
    raise UserError(f"{source} has no classes.yaml; `semiseg data init {source}` proposes one")


def stems(folder: Path, suffixes: Collection[str] = SUFFIXES) -> dict[str, Path]:
    """Files below `folder` by path without suffix; accents are normalised, because macOS splits them off."""
    if not folder.is_dir():
        raise UserError(
            f"{folder} does not exist; a data set of kind folder has images/ and masks/ "
            "(which holds a .json of COCO too)"
        )
    found: dict[str, Path] = {}
    for path in sorted(files.below(folder)):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        stem = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        if stem in found:
            raise UserError(f"{found[stem]} and {path} have the same stem; keep one of them")
        found[stem] = path
    return found


def pair(source: Path, group_pattern: str | None, prepared: Path) -> list[Sample]:
    """Every image, with its mask if there is one; a mask without an image is an error."""
    images = stems(source / "images")
    if not images:
        raise UserError(f"{source}/images holds no image ({', '.join(s[1:] for s in SUFFIXES)})")
    masks = _masks(source, images, prepared)
    return [Sample(k, path, masks.get(k), _group(k, group_pattern)) for k, path in images.items()]


def _masks(source: Path, images: Collection[str], prepared: Path) -> dict[str, Path]:
    """Masks by their image's name. LabelMe saves its files beside the images; a COCO file describes many images."""
    beside = {k: path for k, path in stems(source / "images", (".json",)).items() if k in images}
    masks = stems(source / "masks", MASK_SUFFIXES) if (source / "masks").is_dir() or not beside else {}
    for shared in sorted(set(masks) & set(beside))[:1]:
        raise UserError(f"{masks[shared]} and {beside[shared]} are masks of one image; keep one of them")
    lists = [path for k, path in masks.items() if k not in images and path.suffix.lower() == ".json"]
    if len(lists) > 1:
        raise UserError(f"{lists[0]} and {lists[1]} have no image of the same name; one COCO file is possible")
    masks = {k: path for k, path in masks.items() if path not in lists} | beside
    lonely = sorted(set(masks) - set(images))
    if lonely:
        more = f" and {len(lonely) - 3} more" if len(lonely) > 3 else ""
        have = "has" if len(lonely) == 1 else "have"
        raise UserError(f"{source}/masks: {', '.join(lonely[:3])}{more} {have} no image with the same name in images/")
    for path in lists:
        masks = coco.divide(path, images, prepared / "annotations") | masks
    return masks


def _group(key: str, pattern: str | None) -> str | None:
    if pattern is None:
        return None
    match = re.search(pattern, key)
    if match is None:
        raise UserError(f"group_pattern {pattern!r} does not match the image {key}; every image needs a group")
    return match.group(1) if match.groups() else match.group(0)


def divide(labelled: list[Sample], config: DatasetConfig) -> dict[str, tuple[Sample, ...]]:
    """val and test by list or by share; groups stay together; the rest is the training pool."""
    if config.val_list is None and config.val_share == 0:
        raise UserError("a data set of kind folder needs a validation set: give val_list or a val_share above 0")
    chosen: dict[str, str] = {}
    for subset, listed in (("val", config.val_list), ("test", config.test_list)):
        if listed:
            _choose_listed(chosen, subset, listed, labelled)
    for subset, listed, share in (
        ("val", config.val_list, config.val_share),
        ("test", config.test_list, config.test_share),
    ):
        if listed is None and share > 0:
            _choose_share(chosen, subset, round(share * len(labelled)), labelled, config.split_seed)
    subsets = {
        subset: tuple(sample for sample in labelled if chosen.get(sample.id, "train") == subset)
        for subset in ("train", "val", "test")
    }
    _check_groups(subsets)
    *names, last = ["train", *(subset for subset in ("val", "test") if subset in chosen.values())]
    if len(labelled) <= len(names):
        raise UserError(
            f"{', '.join(names)} and {last} need a labelled image each; images with a mask: {len(labelled)}; label more"
        )
    if not subsets["train"]:
        raise UserError("val and test take every labelled image; lower val_share or test_share, or use smaller groups")
    return {subset: samples for subset, samples in subsets.items() if samples}


def _choose_listed(chosen: dict[str, str], subset: str, path: Path, labelled: list[Sample]) -> None:
    known = {sample.id for sample in labelled}
    for line in read_ids(path):
        line = unicodedata.normalize("NFC", line)
        key = line if line in known else str(Path(line).with_suffix("").as_posix()).removeprefix("images/")
        if key not in known:
            raise UserError(f"{path} lists {line}, which is no image with a mask; ids are paths below images/")
        if chosen.get(key, subset) != subset:
            raise UserError(f"{path} lists {line}, which is already in {chosen[key]}; keep it in one list")
        chosen[key] = subset


def _choose_share(chosen: dict[str, str], subset: str, wanted: int, labelled: list[Sample], seed: int) -> None:
    """Whole groups, at least one, in an order given by seed and name, with a total near the wanted count."""
    groups: dict[str, list[str]] = {}
    for sample in labelled:
        groups.setdefault(_unit(sample), []).append(sample.id)
    free = [group for group, ids in groups.items() if not any(key in chosen for key in ids)]
    taken = 0
    for group in keyed_order(free, f"{subset}:{seed}"):
        size = len(groups[group])
        if taken and abs(taken + size - wanted) >= abs(taken - wanted):
            return
        chosen.update(dict.fromkeys(groups[group], subset))
        taken += size


def _unit(sample: Sample) -> str:
    return f"image {sample.id}" if sample.group is None else f"group {sample.group}"


def _check_groups(subsets: dict[str, tuple[Sample, ...]]) -> None:
    home: dict[str, str] = {}
    for subset, samples in subsets.items():
        for sample in samples:
            if sample.group is not None and home.setdefault(sample.group, subset) != subset:
                raise UserError(
                    f"the group {sample.group} is in {home[sample.group]} and in {subset} ({sample.id}); "
                    "list all of its images or none"
                )
