"""Cityscapes: fine masks of label ids, mapped to the 19 evaluated classes, and train_extra without masks."""

from __future__ import annotations

from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.datasets.dataset import Dataset, Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import Kind
from semiseg.datasets.reading.masks import IndexMasks

# (name, label id in *_labelIds.png, colour), in the order of the train ids; from the data set's label definition.
LABELS = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
LAST_LABEL_ID = 33
COUNTS = {"train": 2975, "val": 500, "extra": 19998}
_IMAGE, _MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"


def label_ids() -> IndexMasks:
    """Label ids 0..33 and the licence plate's -1, stored as 255: evaluated classes by train id, the rest ignored."""
    train_ids = {label: k for k, (_, label, _) in enumerate(LABELS)}
    pairs = tuple((label, train_ids.get(label, IGNORE)) for label in range(LAST_LABEL_ID + 1))
    return IndexMasks((*pairs, (255, IGNORE)))


class Cityscapes(Kind):
    counts = COUNTS
    sizes = {"val": (1024, 2048)}
    restricted = True
    literature = "cityscapes"
    place = "leftImg8bit/{}"

    @classmethod
    def parts(cls, config: DatasetConfig) -> set[str]:
        return {"extra"} if config.extra else set()

    @classmethod
    def read(cls, name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
        subsets = {subset: read_samples(source, subset) for subset in ("train", "val")}
        if config.extra:
            subsets["extra"] = read_samples(source, "train_extra", masks=False)
        return Dataset(
            name=name,
            root=source,
            classes=tuple(label for label, _, _ in LABELS),
            palette=tuple(colour for _, _, colour in LABELS),
            redistributable=False,
            subsets=subsets,
            coding=label_ids(),
        )


def read_samples(source: Path, subset: str, masks: bool = True) -> tuple[Sample, ...]:
    folder = source / "leftImg8bit" / subset
    images = sorted(folder.glob(f"*/*{_IMAGE}"))
    if not images:
        raise UserError(f"{folder} holds no images CITY/*{_IMAGE}; unpack the Cityscapes archives below {source}")
    samples = []
    for image in images:
        key = image.name.removesuffix(_IMAGE)
        city = image.parent.name
        mask = source / "gtFine" / subset / city / f"{key}{_MASK}" if masks else None
        samples.append(Sample(key, image, mask, group=city))
    return tuple(samples)
