"""PASCAL VOC 2012 with the SBD masks, and `pocket`, which has the same layout."""

from __future__ import annotations

from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.base.labels import voc_palette
from semiseg.datasets.dataset import Dataset, Sample, read_class_names, read_ids
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.masks import IndexMasks

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
COUNTS = {"train_aug": 10582, "train": 1464, "val": 1449}
AUGMENTED = "SegmentationClassAug"
TRAIN_AUG = ("train_aug.txt", "trainaug.txt")


def read(name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
    home = layout_root(source)
    classes = read_class_names(source / "classes.txt") if config.kind == "pocket" else CLASSES
    lists = home / "ImageSets" / "Segmentation"
    pool = config.train_list or ("train_aug" if config.kind == "voc" else "train")
    if pool == "train_aug":
        train = _augmented(name, home, lists, prepared)
    else:
        train = _samples(home, read_ids(lists / "train.txt"), {})
    subsets = {"train": train, "val": _samples(home, read_ids(lists / "val.txt"), {})}
    if config.kind == "pocket" and (lists / "test.txt").exists():
        subsets["test"] = _samples(home, read_ids(lists / "test.txt"), {})
    return Dataset(
        name=name,
        root=source,
        classes=classes,
        palette=voc_palette(len(classes)),
        redistributable=config.redistributable,
        subsets=subsets,
        coding=IndexMasks.plain(len(classes)),
    )


def layout_root(source: Path) -> Path:
    """The folder with ImageSets/Segmentation: `source` itself, VOC2012 or VOCdevkit/VOC2012 below it."""
    for folder in (source, source / "VOC2012", source / "VOCdevkit" / "VOC2012"):
        if (folder / "ImageSets" / "Segmentation").is_dir():
            return folder
    raise UserError(f"{source} has no ImageSets/Segmentation (nor VOCdevkit/VOC2012 below it); is data_root right?")


def _samples(home: Path, ids: list[str], masks: dict[str, Path]) -> tuple[Sample, ...]:
    fine = home / "SegmentationClass"
    return tuple(Sample(k, _image(home / "JPEGImages", k), masks.get(k, fine / f"{k}.png")) for k in ids)


def _image(folder: Path, key: str) -> Path:
    """VOC's images are JPEG; `pocket` has PNG, whose pixels are the same after every decoder."""
    png = folder / f"{key}.png"
    return png if png.exists() else folder / f"{key}.jpg"


def _augmented(name: str, home: Path, lists: Path, prepared: Path) -> tuple[Sample, ...]:
    """The pool of VOC's train and SBD: VOC's own masks where there are some, SBD's for the others."""
    fine = set(read_ids(lists / "train.txt"))
    for folder, listed in ((prepared, prepared), (home, lists)):
        found = next((listed / file for file in TRAIN_AUG if (listed / file).exists()), None)
        if found is None:
            continue
        ids = [augmented_id(line) for line in read_ids(found)]
        for masks in (folder / AUGMENTED, home / AUGMENTED, home / "SegmentationClass"):
            if masks.is_dir():
                return _samples(home, ids, {k: masks / f"{k}.png" for k in ids if k not in fine})
    raise UserError(
        f"{home} has no list train_aug.txt with masks in {AUGMENTED}; run `semiseg data get {name}` to make them "
        "from SBD, or set train_list: train"
    )


def augmented_id(line: str) -> str:
    """The id in a line of train_aug.txt, which users' copies write as id or as image and mask path."""
    return Path(line.split()[0]).stem
