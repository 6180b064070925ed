"""Miniature data sets in the formats of the real data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from semiseg.base.labels import voc_palette

SIZE = (24, 32)  # height, width


def rgb(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def label(seed: int, classes: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Blocks of classes with a stripe of 255."""
    blocks = np.random.default_rng(seed).integers(0, classes, (size[0] // 4, size[1] // 4), dtype=np.uint8)
    full = np.kron(blocks, np.ones((4, 4), np.uint8))
    full[0] = 255
    return full


def save(path: Path, array: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def save_palette(path: Path, index: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(index, mode="P")
    image.putpalette([value for colour in voc_palette(256) for value in colour])
    image.save(path)


def save_sbd(path: Path, index: np.ndarray) -> None:
    """A file like SBD's cls/*.mat: GTcls, a struct with Boundaries, Segmentation and CategoriesPresent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"GTcls": {"Segmentation": index, "CategoriesPresent": np.unique(index[index > 0])}})


def lines(path: Path, ids: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{k}\n" for k in ids))


def voc(
    root: Path, train: list[str], val: list[str], others: list[str] = (), classes: int = 21, size: tuple = SIZE
) -> Path:
    """VOCdevkit/VOC2012 below `root`; `others`: images without a VOC mask."""
    home = root / "VOCdevkit" / "VOC2012"
    for number, key in enumerate([*train, *val, *others]):
        save(home / "JPEGImages" / f"{key}.jpg", rgb(number, size))
        if key not in others:
            save_palette(home / "SegmentationClass" / f"{key}.png", label(number, classes, size))
    lines(home / "ImageSets/Segmentation/train.txt", train)
    lines(home / "ImageSets/Segmentation/val.txt", val)
    return home


def sbd(root: Path, train: list[str], val: list[str], seeds: dict[str, int] | None = None, size: tuple = SIZE) -> Path:
    """benchmark_RELEASE/dataset below `root`; SBD marks no ignored border."""
    home = root / "benchmark_RELEASE" / "dataset"
    for number, key in enumerate([*train, *val]):
        index = label((seeds or {}).get(key, 100 + number), 21, size)
        index[index == 255] = 0
        save_sbd(home / "cls" / f"{key}.mat", index)
    lines(home / "train.txt", train)
    lines(home / "val.txt", val)
    return home


def cityscapes(
    root: Path, cities: dict[str, dict[str, int]], extra: dict[str, int] | None = None, size: tuple = SIZE
) -> Path:
    """cities: subset -> city -> images."""
    number = 0
    for subset, listed in cities.items():
        for city, count in listed.items():
            for k in range(count):
                number += 1
                key = f"{city}_{k:06d}_000019"
                save(root / "leftImg8bit" / subset / city / f"{key}_leftImg8bit.png", rgb(number, size))
                ids = label(number, 34, size)
                save(root / "gtFine" / subset / city / f"{key}_gtFine_labelIds.png", ids)
    for city, count in (extra or {}).items():
        for k in range(count):
            number += 1
            path = root / "leftImg8bit/train_extra" / city / f"{city}_000000_{k:06d}_leftImg8bit.png"
            save(path, rgb(number, size))
    return root


def camvid(root: Path, names: dict[str, list[str]], layout: str = "segnet", size: tuple = SIZE) -> Path:
    """`plain`: images/ and masks/ with 255 as void; `segnet`: train/ and trainannot/ with 11 as void."""
    number = 0
    for subset, listed in names.items():
        for name in listed:
            number += 1
            index = label(number, 11, size)
            if layout == "plain":
                save(root / "images" / subset / f"{name}.jpg", rgb(number, size))
                save(root / "masks" / subset / f"{name}.png", index)
            else:
                index[index == 255] = 11
                save(root / subset / f"{name}.png", rgb(number, size))
                save(root / f"{subset}annot" / f"{name}.png", index)
    return root


def oxford_pets(root: Path, trainval: list[str], test: list[str], size: tuple = SIZE) -> Path:
    """The official layout: trimaps of 1 (pet), 2 (background) and 3 (border), and lists with a comment and columns."""
    for number, key in enumerate([*trainval, *test]):
        save(root / "images" / f"{key}.jpg", rgb(number, size))
        save(root / "annotations/trimaps" / f"{key}.png", trimap(number, size))
    for name, ids in (("trainval", trainval), ("test", test)):
        lines(root / f"annotations/{name}.txt", ["#Image CLASS-ID SPECIES BREED ID", *(f"{key} 1 1 1" for key in ids)])
    return root


def trimap(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.array([2, 1, 3], np.uint8)[np.minimum(label(seed, 2, size), 2)]


def in_folders(root: Path, names: dict[str, list[str]], classes: int, size: tuple = SIZE) -> Path:
    """images/SUBSET/NAME.jpg and masks/SUBSET/NAME.png of class indices."""
    for number, (subset, name) in enumerate((subset, name) for subset, listed in names.items() for name in listed):
        save(root / "images" / subset / f"{name}.jpg", rgb(number, size))
        save(root / "masks" / subset / f"{name}.png", label(number, classes, size))
    return root
