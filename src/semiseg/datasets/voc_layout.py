"""PASCAL VOC's folder layout (lists, images and palette masks), which other data sets share."""

from __future__ import annotations

from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.base.ids import read_ids
from semiseg.base.labels import voc_palette
from semiseg.datasets.dataset import Dataset, Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.reading.masks import IndexMasks

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
COUNTS = {"train_aug": 10582, "train": 1464, "val": 1449}
AUGMENTED = "SegmentationClassAug"
TRAIN_AUG = ("train_aug.txt", "trainaug.txt")


def listed(home: Path, subset: str) -> tuple[Sample, ...]:
    return samples(home, read_ids(home / "ImageSets" / "Segmentation" / f"{subset}.txt"), {})


def in_layout(
    name: str,
    config: DatasetConfig,
    source: Path,
    classes: tuple[str, ...],
    subsets: dict[str, tuple[Sample, ...]],
) -> Dataset:
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
    """The folder with ImageSets/Segmentation: `source`, or VOC2012 or VOCdevkit/VOC2012 below it."""
    for folder in (source, source / "VOC2012", source / "VOCdevkit" / "VOC2012"):
        if (folder / "ImageSets" / "Segmentation").is_dir():
            return folder
    raise UserError(f"{source} has no ImageSets/Segmentation (nor VOCdevkit/VOC2012 below it); is data_root right?")


def samples(home: Path, ids: list[str], masks: dict[str, Path]) -> tuple[Sample, ...]:
    fine = home / "SegmentationClass"
    return tuple(Sample(k, _image(home / "JPEGImages", k), masks.get(k, fine / f"{k}.png")) for k in ids)


def _image(folder: Path, key: str) -> Path:
    """The image of an id: JPEG in VOC, PNG in `pocket`, because all decoders agree on PNG."""
    png = folder / f"{key}.png"
    return png if png.exists() else folder / f"{key}.jpg"


def augmented_id(line: str) -> str:
    """The id in a line of train_aug.txt, which is an id, or paths of image and mask."""
    return Path(line.split()[0]).stem
