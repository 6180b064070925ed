"""A data set: samples in subsets, and methods to read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from semiseg.base.errors import UserError
from semiseg.base.ids import read_ids
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import kind_of
from semiseg.datasets.reading.images import decode_image, decode_size, read_bytes


@dataclass(frozen=True)
class Sample:
    """One image, its mask if it has one, and its group: a drive, city or patient."""

    id: str
    image: Path
    mask: Path | None
    group: str | None = None


class MaskCoding(Protocol):
    def decode(self, data: bytes, where: str | Path) -> np.ndarray: ...

    def identity(self) -> list[Any]: ...


@dataclass(frozen=True)
class Dataset:
    """Subsets: train (the labelled pool), val, and where they exist test and extra (images without masks)."""

    name: str
    root: Path
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    redistributable: bool
    subsets: dict[str, tuple[Sample, ...]]
    coding: MaskCoding
    notes: tuple[str, ...] = field(default=())  # samples that the reader left out, for the check's verdict

    def read_image(self, sample: Sample) -> np.ndarray:
        """uint8 [H, W, 3], RGB."""
        return decode_image(read_bytes(sample.image), sample.image)

    def read_mask(self, sample: Sample) -> np.ndarray:
        """uint8 [H, W], class index or 255; it has the image's size."""
        if sample.mask is None:
            raise UserError(f"{self.name}: image {sample.id} has no mask")
        label = self.coding.decode(read_bytes(sample.mask), f"{sample.mask} (image {sample.id})")
        check_sizes(sample, label, decode_size(read_bytes(sample.image), sample.image))
        return label


def check_sizes(sample: Sample, label: np.ndarray, size: tuple[int, int]) -> None:
    height, width = label.shape
    if (height, width) == size:
        return
    turned = " (the image is turned by its EXIF orientation)" if (width, height) == size else ""
    raise UserError(
        f"{sample.mask} (image {sample.id}) is {width}x{height}, but its image is {size[1]}x{size[0]}{turned}; "
        "replace one of them"
    )


def open_dataset(name: str, config: DatasetConfig, root: Path = Path("data")) -> Dataset:
    """The data set `name` from `config.data_root`, by default from <root>/<name>/raw."""
    kind = kind_of(config)
    source = raw_folder(name, config, root)
    if not source.is_dir():
        cure = "" if kind.own else f"run `semiseg data get {name}` or "
        raise UserError(f"{source} does not exist; {cure}set data_root to your copy")
    dataset = kind.read(name, config, source, Path(root) / name / "prepared")
    for subset, samples in dataset.subsets.items():
        _unique(name, subset, samples)
    return dataset


def raw_folder(name: str, config: DatasetConfig, root: Path = Path("data")) -> Path:
    return config.data_root.expanduser() if config.data_root else Path(root) / name / "raw"


def _unique(name: str, subset: str, samples: Iterable[Sample]) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise UserError(f"{name}: {subset} lists {sample.id} twice; remove one of the lines or files")
        seen.add(sample.id)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Names from lines `index name`; the indices count up from 0."""
    names = []
    for line in read_ids(path):
        index, _, name = line.partition(" ")
        if index != str(len(names)) or not name.strip():
            raise UserError(f"{path}: the line {line!r} should read `{len(names)} name` (index from 0, then the name)")
        names.append(name.strip())
    if not 2 <= len(names) <= 255:
        raise UserError(f"{path} names {len(names)} classes; between 2 and 255 are possible")
    return tuple(names)
