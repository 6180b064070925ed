"""The embedded data set: procedural scenes that are the same pixels on every machine.

All computation, from random numbers to rasterisation, uses integers, and the result is compared with a hash in this
file. A change of a drawing would change the data set and all results on it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.base.files import umask
from semiseg.datasets import voc_layout
from semiseg.datasets.dataset import Dataset, raw_folder, read_class_names
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import Kind, Say
from semiseg.datasets.kinds.pocket.scene import CLASSES
from semiseg.datasets.kinds.pocket.write import SUBSETS, pixels_sha256, write

__all__ = ["CLASSES", "PIXELS_SHA256", "SUBSETS", "generate", "pixels_sha256"]

PIXELS_SHA256 = "79778d5584c141b6a9d3630a3320a485ec24c5b1b4b8bd42a2455c7608e973bf"


class Pocket(Kind):
    counts = {subset: count for subset, (count, _) in SUBSETS.items()}
    sizes = {"val": (72, 72), "test": (72, 72)}
    has_test_set = True
    background = 0
    place = "ImageSets/Segmentation/{}.txt"

    @classmethod
    def expected(cls, config: DatasetConfig) -> dict[str, int]:
        return {}  # the generated pixels have a hash; tests write a few other images in this layout

    @classmethod
    def pool(cls, config: DatasetConfig) -> int | None:
        return cls.counts["train"]

    @classmethod
    def get(cls, name: str, config: DatasetConfig, root: Path, say: Say, **options: Any) -> None:
        if not raw_folder(name, config, root).is_dir():
            generate(raw_folder(name, config, root))

    @classmethod
    def read(cls, name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
        home = voc_layout.layout_root(source)
        found = [name for name in SUBSETS if (home / "ImageSets" / "Segmentation" / f"{name}.txt").exists()]
        subsets = {subset: voc_layout.listed(home, subset) for subset in found}
        return voc_layout.in_layout(name, config, source, read_class_names(source / "classes.txt"), subsets)


def generate(root: Path) -> None:
    """Make the data set at `root`, but only if all pixels match the hash."""
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root} exists already and is not empty; remove it before the data set is made there")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".tmp", dir=root.parent))
    except OSError as error:
        raise UserError(f"{root.parent} cannot be written ({error.strerror}); choose another folder") from error
    try:
        write(folder)
        found = pixels_sha256(folder)
        if found != PIXELS_SHA256:
            raise UserError(
                f"the pocket data set was generated with pixels {found[:12]} instead of {PIXELS_SHA256[:12]}; "
                "install the versions of numpy and pillow that requirements.lock names"
            )
        folder.chmod(0o777 & ~umask())  # mkdtemp is private; data are shared
        os.replace(folder, root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
