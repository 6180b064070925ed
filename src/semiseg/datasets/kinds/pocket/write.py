"""Writes the scenes in PASCAL VOC's folder layout, and hashes the decoded pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.base.labels import voc_palette
from semiseg.datasets.kinds.pocket.integers import Dice
from semiseg.datasets.kinds.pocket.scene import CLASSES, scene

SUBSETS = {"train": (480, 20_231), "val": (100, 20_232), "test": (200, 20_233)}  # images, seed


def write(root: Path) -> None:
    """Images as PNG in JPEGImages (JPEG decoders differ in the last bit), labels as palette PNG."""
    images, masks, lists = (root / name for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"))
    for folder in (images, masks, lists):
        folder.mkdir(parents=True)
    colours = [value for colour in voc_palette(256) for value in colour]
    for subset, (count, seed) in SUBSETS.items():
        ids = [f"{subset}_{number:04d}" for number in range(count)]
        for number, name in enumerate(ids):
            image, label = scene(Dice(seed, number))
            Image.fromarray(image).save(images / f"{name}.png")
            mask = Image.fromarray(label)
            mask.putpalette(colours)
            mask.save(masks / f"{name}.png")
        (lists / f"{subset}.txt").write_text("".join(f"{name}\n" for name in ids))
    (root / "classes.txt").write_text("".join(f"{index} {name}\n" for index, name in enumerate(CLASSES)))


def pixels_sha256(root: Path) -> str:
    """SHA-256 over names, sizes and decoded pixels; it does not depend on PNG compression."""
    digest = hashlib.sha256()
    for subset in SUBSETS:
        for name in (root / "ImageSets/Segmentation" / f"{subset}.txt").read_text().split():
            for pixels in _decoded(root, name):
                digest.update(f"{subset} {name} {pixels.shape}\n".encode())
                digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _decoded(root: Path, name: str) -> Iterator[np.ndarray]:
    for folder in ("JPEGImages", "SegmentationClass"):
        with Image.open(root / folder / f"{name}.png") as picture:
            yield np.asarray(picture)
