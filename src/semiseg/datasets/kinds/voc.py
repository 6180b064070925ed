"""PASCAL VOC 2012 with the SBD masks."""

from __future__ import annotations

from pathlib import Path

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.base.ids import read_ids
from semiseg.datasets.dataset import Dataset, Sample, raw_folder
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import Kind, Say
from semiseg.datasets.voc_layout import (
    AUGMENTED,
    CLASSES,
    COUNTS,
    TRAIN_AUG,
    augmented_id,
    in_layout,
    layout_root,
    listed,
    samples,
)


class Voc(Kind):
    counts = {"train": COUNTS["train_aug"], "val": COUNTS["val"]}
    sizes = {"val": (366, 500)}
    background = 0
    restricted = True
    literature = "voc"
    place = "ImageSets/Segmentation/{}.txt"

    @classmethod
    def expected(cls, config: DatasetConfig) -> dict[str, int]:
        return {"train": COUNTS[_pool(config)], "val": COUNTS["val"]}

    @classmethod
    def reference_list(cls, config: DatasetConfig, subset: str) -> str:
        return _pool(config) if subset == "train" else subset

    @classmethod
    def parts(cls, config: DatasetConfig) -> set[str]:
        return {"sbd"} if _pool(config) == "train_aug" else set()

    @classmethod
    def complete(cls, name: str, config: DatasetConfig, root: Path, say: Say) -> None:
        """Write the masks of SBD as files if the sources have no list of the augmented pool."""
        if _pool(config) != "train_aug":
            return
        source, prepared = raw_folder(name, config, root), Path(root) / name / "prepared"
        lists = layout_root(source) / "ImageSets" / "Segmentation"
        if any((lists / file).exists() for file in TRAIN_AUG) or (prepared / TRAIN_AUG[0]).exists():
            return
        from semiseg.datasets.get import sbd

        with files.locked(Path(root) / name / ".getting"):
            if not (prepared / TRAIN_AUG[0]).exists():
                say(f"making {prepared / AUGMENTED} from SBD")
                sbd.prepare(source, prepared, config.complete)

    @classmethod
    def read(cls, name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
        home = layout_root(source)
        lists = home / "ImageSets" / "Segmentation"
        augmented = _pool(config) == "train_aug"
        train = _augmented(name, home, lists, prepared) if augmented else listed(home, "train")
        return in_layout(name, config, source, CLASSES, {"train": train, "val": listed(home, "val")})


def _pool(config: DatasetConfig) -> str:
    return config.train_list or "train_aug"


def _augmented(name: str, home: Path, lists: Path, prepared: Path) -> tuple[Sample, ...]:
    """The pool of VOC's train and SBD: masks of VOC if they exist, otherwise masks of SBD."""
    fine = set(read_ids(lists / "train.txt"))
    for folder, place in ((prepared, prepared), (home, lists)):
        found = next((place / file for file in TRAIN_AUG if (place / file).exists()), None)
        if found is None:
            continue
        ids = [augmented_id(line) for line in read_ids(found)]
        for masks in (folder / AUGMENTED, home / AUGMENTED, home / "SegmentationClass"):
            if masks.is_dir():
                return samples(home, ids, {k: masks / f"{k}.png" for k in ids if k not in fine})
    raise UserError(
        f"{home} has no list train_aug.txt with masks in {AUGMENTED}; run `semiseg data get {name}` to make them "
        "from SBD, or set train_list: train"
    )
