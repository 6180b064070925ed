"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012): cats and dogs against background; the border between them is ignored.

Two layouts: the official archives (`images/`, `annotations/` with trimaps and lists), and `images/{train,test}` with
`masks/{train,test}` of class indices. The data set has no val, so always the same 300 of its training
images are held out as val, and nothing has to be selected on test.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from semiseg.base.errors import UserError
from semiseg.base.ids import read_ids
from semiseg.base.labels import IGNORE, voc_palette
from semiseg.base.strict import Strict
from semiseg.datasets.dataset import Dataset, Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import Kind
from semiseg.datasets.reading.masks import IndexMasks
from semiseg.datasets.reading.resized import Resized
from semiseg.splits.order import keyed_order

CLASSES = ("background", "pet")
TRIMAP = IndexMasks(((1, 1), (2, 0), (3, IGNORE)))  # pet, background, border
TRAINVAL, HELD_OUT = 3680, 300


class OxfordPets(Kind):
    class Options(Strict):
        side: int | None = Field(None, ge=32, description="images are squeezed to squares of this side; null: not")

    counts = {"train": TRAINVAL - HELD_OUT, "val": HELD_OUT, "test": 3669}
    sizes = {"val": (375, 500), "test": (375, 500)}
    has_test_set = True
    background = 0
    place = "images, and annotations/*.txt or masks, for {}"

    @classmethod
    def expected(cls, config: DatasetConfig) -> dict[str, int]:
        """A part of the test images suffices: copies leave out test images that look like training images."""
        return {subset: cls.counts[subset] for subset in ("train", "val")}

    @classmethod
    def read(cls, name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
        official = (source / "annotations" / "trimaps").is_dir()
        subset = _official if official else _in_folders
        trainval, test = subset(source, "train"), subset(source, "test")
        held_out = set(keyed_order((sample.id for sample in trainval), "oxford_pets:val")[: _val_count(len(trainval))])
        side = cls.Options.model_validate(config.options).side
        return Resized(
            name=name,
            root=source,
            classes=CLASSES,
            palette=voc_palette(len(CLASSES)),
            redistributable=config.redistributable,
            subsets={
                "train": tuple(sample for sample in trainval if sample.id not in held_out),
                "val": tuple(sample for sample in trainval if sample.id in held_out),
                "test": test,
            },
            coding=TRIMAP if official else IndexMasks.plain(len(CLASSES)),
            size=(side, side) if side else None,
        )


def _val_count(images: int) -> int:
    """Size of val: 300 of 3,680 images, and the same share if there are fewer."""
    return round(HELD_OUT * images / TRAINVAL) or 1


def _official(source: Path, subset: str) -> tuple[Sample, ...]:
    """Ids of a list, whose lines are `name class species breed`."""
    listed = read_ids(source / "annotations" / {"train": "trainval.txt", "test": "test.txt"}[subset])
    ids = [line.split()[0] for line in listed]
    trimaps = source / "annotations" / "trimaps"
    return tuple(Sample(one, source / "images" / f"{one}.jpg", trimaps / f"{one}.png") for one in ids)


def _in_folders(source: Path, subset: str) -> tuple[Sample, ...]:
    images = source / "images" / subset
    found = sorted(path for path in images.glob("*") if path.suffix in (".png", ".jpg"))
    if not found:
        raise UserError(
            f"{source} has neither annotations/trimaps nor images in {images.relative_to(source)}; is data_root right?"
        )
    masks = source / "masks" / subset
    # In copies, images of train and test may have the same numbers.
    first = "test_" if subset == "test" else ""
    return tuple(Sample(f"{first}{path.stem}", path, masks / f"{path.stem}.png") for path in found)
