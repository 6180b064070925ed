"""Read every file of a data set once: hashes, sizes, label counts and errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets.dataset import Dataset, Sample, check_sizes
from semiseg.datasets.reading.images import decode_image, read_bytes


@dataclass(frozen=True)
class Inspection:
    sample: Sample
    hashes: dict[Path, str]
    size: tuple[int, int] | None  # height, width; None where the image cannot be read
    pixels: np.ndarray | None  # int64 [256], pixels per label; None without a readable mask
    problem: str | None


def inspect_all(
    dataset: Dataset, samples: Iterable[Sample], advance: Callable[[int], None], workers: int | None = None
) -> Iterator[Inspection]:
    """The findings in the order of the samples. Decoding and hashing release the GIL, so threads are enough."""
    with ThreadPoolExecutor(workers or min(16, os.cpu_count() or 1)) as pool:
        for found in pool.map(lambda sample: inspect(dataset, sample), samples):
            advance(1)
            yield found


def inspect(dataset: Dataset, sample: Sample) -> Inspection:
    hashes: dict[Path, str] = {}
    size, pixels = None, None
    try:
        size = decode_image(_hashed(sample.image, hashes), sample.image).shape[:2]
        if sample.mask is not None:
            label = dataset.coding.decode(_hashed(sample.mask, hashes), f"{sample.mask} (image {sample.id})")
            check_sizes(sample, label, size)
            pixels = np.bincount(label.ravel(), minlength=256)
    except UserError as error:
        return Inspection(sample, hashes, size, None, str(error))
    return Inspection(sample, hashes, size, pixels, None)


def _hashed(path: Path, hashes: dict[Path, str]) -> bytes:
    data = read_bytes(path)
    hashes[path] = files.sha256_bytes(data)
    return data
