"""Cityscapes at 256x128 with its 7 categories and the official ids, so published lists of labelled images apply.

Two layouts: `images/{train,val}/ID.jpg` with `masks/{train,val}/ID.png` of category indices, and the official one,
whose images are reduced and whose label ids are mapped to categories during decoding.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.base.strict import Strict
from semiseg.datasets.dataset import Dataset, Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import Kind, Say
from semiseg.datasets.kinds import cityscapes
from semiseg.datasets.reading.masks import IndexMasks
from semiseg.datasets.reading.resized import Resized

SIZE = (128, 256)
# (name, label ids in *_labelIds.png, colour); from the data set's label definition.
CATEGORIES = (
    ("flat", (7, 8, 9, 10), (128, 64, 128)),
    ("construction", (11, 12, 13, 14, 15, 16), (70, 70, 70)),
    ("object", (17, 18, 19, 20), (153, 153, 153)),
    ("nature", (21, 22), (107, 142, 35)),
    ("sky", (23,), (70, 130, 180)),
    ("human", (24, 25), (220, 20, 60)),
    ("vehicle", (26, 27, 28, 29, 30, 31, 32, 33), (0, 0, 142)),
)
EVALUATED = frozenset(label for _, label, _ in cityscapes.LABELS)


class CityscapesMini(Kind):
    class Options(Strict):
        held_out: tuple[str, ...] = Field(
            (), description="cities of train that become val, in place of the official val, which stays unread"
        )

    counts = cityscapes.COUNTS
    sizes = {"val": SIZE}
    restricted = True
    literature = "cityscapes"
    place = "images/{} or leftImg8bit/{}"

    @classmethod
    def expected(cls, config: DatasetConfig) -> dict[str, int]:
        if config.options.get("held_out"):
            return {}
        return {subset: cityscapes.COUNTS[subset] for subset in ("train", "val")}

    @classmethod
    def get(cls, name: str, config: DatasetConfig, root: Path, say: Say, **options) -> None:
        raise UserError(
            f"the data set {name} is not offered for download: set data_root to a folder with images/ and masks/, or "
            "to Cityscapes itself (leftImg8bit/ and gtFine/)"
        )

    @classmethod
    def read(cls, name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
        official = (source / "leftImg8bit").is_dir()
        read_subset = cityscapes.read_samples if official else _in_folders
        held_out = cls.Options.model_validate(config.options).held_out
        train = read_subset(source, "train")
        subsets = _without(train, held_out) if held_out else {"train": train, "val": read_subset(source, "val")}
        return Resized(
            name=name,
            root=source,
            classes=tuple(label for label, _, _ in CATEGORIES),
            palette=tuple(colour for _, _, colour in CATEGORIES),
            redistributable=False,
            subsets=subsets,
            coding=categories() if official else IndexMasks.plain(len(CATEGORIES)),
            size=SIZE,
        )


def categories() -> IndexMasks:
    """Categories by label id; classes that the benchmark does not evaluate are ignored."""
    index = {label: k for k, (_, labels, _) in enumerate(CATEGORIES) for label in labels if label in EVALUATED}
    return IndexMasks((*((one, index.get(one, IGNORE)) for one in range(cityscapes.LAST_LABEL_ID + 1)), (255, IGNORE)))


def _without(train: Iterable[Sample], held_out: tuple[str, ...]) -> dict[str, tuple[Sample, ...]]:
    train = tuple(train)
    cities = {sample.group for sample in train}
    if unknown := sorted(set(held_out) - cities):
        raise UserError(f"options.held_out: train has no city {', '.join(unknown)}; it has {', '.join(sorted(cities))}")
    return {
        "train": tuple(sample for sample in train if sample.group not in held_out),
        "val": tuple(sample for sample in train if sample.group in held_out),
    }


def _in_folders(source: Path, subset: str) -> tuple[Sample, ...]:
    images = source / "images" / subset
    found = sorted(path for path in images.glob("*") if path.suffix in (".png", ".jpg"))
    if not found:
        raise UserError(f"{images} holds no images (ID.jpg or ID.png); is data_root right?")
    masks = source / "masks" / subset
    return tuple(Sample(path.stem, path, masks / f"{path.stem}.png", group=path.stem.split("_")[0]) for path in found)
