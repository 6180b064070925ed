"""Converts SBD's .mat masks to PNG; with VOC's masks they form the pool of 10,582 images (Hariharan et al. 2011)."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.base.ids import read_ids
from semiseg.base.labels import voc_palette
from semiseg.base.progress import progress
from semiseg.datasets.reading.images import image_size, read_bytes
from semiseg.datasets.reading.matfile import read_field
from semiseg.datasets.voc_layout import AUGMENTED, CLASSES, COUNTS, TRAIN_AUG, layout_root


def sbd_root(source: Path) -> Path | None:
    for folder in (source / "benchmark_RELEASE" / "dataset", source / "sbd", source / "dataset"):
        if (folder / "cls").is_dir():
            return folder
    return None


def prepare(source: Path, prepared: Path, complete: bool = True) -> int:
    """Write `prepared`/SegmentationClassAug and train_aug.txt, all or nothing; returns the size of the pool.

    The pool is VOC's train and all of SBD without VOC's val. Images of VOC's train keep VOC's finer masks.
    """
    home = layout_root(source)
    boundaries = sbd_root(source)
    if boundaries is None:
        raise UserError(f"{source} has no SBD (benchmark_RELEASE/dataset/cls); get it or set train_list: train")
    lists = home / "ImageSets" / "Segmentation"
    fine, val = set(read_ids(lists / "train.txt")), set(read_ids(lists / "val.txt"))
    listed = {k for part in ("train", "val") for k in read_ids(boundaries / f"{part}.txt")}
    pool = sorted((fine | listed) - val)
    if complete and len(pool) != COUNTS["train_aug"]:
        raise UserError(
            f"VOC's train and SBD give {len(pool)} images, expected {COUNTS['train_aug']}; unpack both again "
            "(or set complete: false for a part of them)"
        )
    prepared.parent.mkdir(parents=True, exist_ok=True)
    for left_behind in prepared.parent.glob(".sbd-*"):  # left by a process that was killed; the caller holds a lock
        shutil.rmtree(left_behind, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".sbd-", dir=prepared.parent))
    try:
        _convert_all(sorted(set(pool) - fine), boundaries / "cls", home / "JPEGImages", folder / AUGMENTED)
        (folder / TRAIN_AUG[0]).write_text("".join(f"{k}\n" for k in pool))
        folder.chmod(0o755)
        shutil.rmtree(prepared, ignore_errors=True)
        folder.rename(prepared)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return len(pool)


def _convert_all(ids: list[str], masks: Path, images: Path, out: Path) -> None:
    out.mkdir()

    def convert(key: str) -> None:
        write_mask(out / f"{key}.png", read_mat(masks / f"{key}.mat", image_size(images / f"{key}.jpg")))
        advance(1)

    with progress("SBD masks", len(ids)) as advance, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as workers:
        for _ in workers.map(convert, ids):
            pass


def read_mat(path: Path, size: tuple[int, int]) -> np.ndarray:
    """GTcls.Segmentation of a .mat file: uint8 [H, W], 0..20."""
    try:
        label = read_field(read_bytes(path), "GTcls", "Segmentation")
    except ValueError as error:
        raise UserError(f"{path} is no SBD mask ({error}); unpack SBD again") from error
    if label.shape != size:
        raise UserError(f"{path} is no mask of its image: {label.shape} instead of {size} rows and columns")
    wrong = ~np.isin(label, np.arange(len(CLASSES)))
    if wrong.any():
        raise UserError(f"{path} holds labels that are no class, such as {label[wrong][0]}; unpack SBD again")
    return label.astype(np.uint8)


def write_mask(path: Path, label: np.ndarray) -> None:
    image = Image.fromarray(label).convert("L")
    image.putpalette([value for colour in voc_palette(256) for value in colour])
    image.save(path, format="PNG")
