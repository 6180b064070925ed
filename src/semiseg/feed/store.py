"""The decoded images of a data set, in memory-mapped files.

Decoding a JPEG or PNG costs more than all other work for a crop, and a run would repeat it in each of some hundred
epochs. The store holds the pixels in images.bin and labels.bin: uint8, one image after another, each in its original
size. index.json holds the position of each image and the source files.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from semiseg.base import files
from semiseg.base.errors import UserError

VERSION = 1
IMAGES, LABELS, INDEX = "images.bin", "labels.bin", "index.json"


@dataclass(frozen=True)
class _Place:
    image: int
    label: int | None
    height: int
    width: int
    group: str | None


class Store:
    """Read-only views of the decoded images; cheap to open and safe to share between threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        index = _read_index(self.folder)
        if index is None:
            raise UserError(
                f"{self.folder} holds no complete store of decoded images; run `semiseg data prepare NAME` first"
            )
        self.name: str = index["dataset"]
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.subsets: dict[str, tuple[str, ...]] = {name: tuple(ids) for name, ids in index["subsets"].items()}
        self._places = {
            id_: _Place(entry["image_offset"], entry["label_offset"], entry["height"], entry["width"], entry["group"])
            for id_, entry in index["samples"].items()
        }
        self._images = _map(self.folder / IMAGES)
        self._labels = _map(self.folder / LABELS)

    def image(self, id_: str) -> np.ndarray:
        """uint8 [H, W, 3], RGB."""
        place = self._place(id_)
        size = place.height * place.width * 3
        return self._images[place.image : place.image + size].reshape(place.height, place.width, 3)

    def label(self, id_: str) -> np.ndarray:
        """uint8 [H, W]: class index, 255 where ignored."""
        place = self._place(id_)
        if place.label is None:
            raise UserError(f"image {id_} of data set {self.name} has no mask")
        return self._labels[place.label : place.label + place.height * place.width].reshape(place.height, place.width)

    def has_label(self, id_: str) -> bool:
        return self._place(id_).label is not None

    def size(self, id_: str) -> tuple[int, int]:
        """Height and width."""
        place = self._place(id_)
        return place.height, place.width

    def group(self, id_: str) -> str | None:
        """The image's group (a film, a city), a unit of the report's bootstrap."""
        return self._place(id_).group

    def _place(self, id_: str) -> _Place:
        try:
            return self._places[id_]
        except KeyError:
            raise UserError(f"image {id_} is not in data set {self.name} ({self.folder})") from None


def open_store(folder: Path | str) -> Store:
    return Store(Path(folder))


def build(dataset: Any, folder: Path | str, threads: int | None = None) -> None:
    """Make or refresh the store; nothing is decoded when no source file has changed.

    A file lock protects the store: a second process waits and then finds the work done.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    samples = _unique_samples(dataset)
    with files.locked(folder / ".lock"):
        index = _read_index(folder)
        if index is not None and index["definition"] == _definition(dataset, samples):
            refreshed = _refreshed(index, samples)
            if refreshed is not None:
                if refreshed is not index:
                    files.write_json(folder / INDEX, refreshed)
                return
        _write(dataset, samples, folder, threads or min(8, os.cpu_count() or 1))


def _unique_samples(dataset: Any) -> dict[str, Any]:
    samples: dict[str, Any] = {}
    for subset in dataset.subsets.values():
        for sample in subset:
            if samples.setdefault(sample.id, sample).image != sample.image:
                raise UserError(f"data set {dataset.name} has two images called {sample.id}; ids must be unique")
    return samples


def _definition(dataset: Any, samples: dict[str, Any]) -> str:
    """The settings that must match for a store to be valid, besides the bytes of the sources."""
    return files.sha256_json(
        {
            "version": VERSION,
            "name": dataset.name,
            "classes": list(dataset.classes),
            "palette": [list(colour) for colour in dataset.palette],
            "subsets": {name: [sample.id for sample in subset] for name, subset in dataset.subsets.items()},
            "masks": sorted(id_ for id_, sample in samples.items() if sample.mask is not None),
            "groups": {id_: sample.group for id_, sample in samples.items()},
        }
    )


def _sources(sample: Any) -> dict[str, Path]:
    return {"image": sample.image} | ({"mask": sample.mask} if sample.mask is not None else {})


def _stamp(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; restore it, or download the data set again") from None
    return {"path": str(path), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _refreshed(index: dict[str, Any], samples: dict[str, Any]) -> dict[str, Any] | None:
    """The index with the current sizes and times of the sources; None if the bytes of a source have changed."""
    changed = {}
    for id_, sample in samples.items():
        for kind, path in _sources(sample).items():
            known, stamp = index["samples"][id_][kind], _stamp(path)
            if known | stamp == known:
                continue
            # A copied or touched file has a new time but may hold the same bytes; only such files are read.
            if known["bytes"] != stamp["bytes"] or known["sha256"] != files.sha256_file(path):
                return None
            changed[id_, kind] = known | stamp
    if not changed:
        return index
    entries = {id_: dict(entry) for id_, entry in index["samples"].items()}
    for (id_, kind), source in changed.items():
        entries[id_][kind] = source
    return index | {"samples": entries}


def _write(dataset: Any, samples: dict[str, Any], folder: Path, threads: int) -> None:
    # Without an index the folder counts as empty, so a half-written store cannot be opened.
    (folder / INDEX).unlink(missing_ok=True)
    entries: dict[str, Any] = {}
    with _rewritten(folder / IMAGES) as images, _rewritten(folder / LABELS) as labels:
        decoded = in_order(lambda sample: _decode(dataset, sample), samples.values(), threads)
        for sample, (entry, image, label) in zip(samples.values(), decoded, strict=True):
            entries[sample.id] = entry | {
                "group": sample.group,
                "image_offset": _append(images, image),
                "label_offset": None if label is None else _append(labels, label),
            }
        sizes = {IMAGES: images.tell(), LABELS: labels.tell()}
    index = {
        "dataset": dataset.name,
        "classes": list(dataset.classes),
        "definition": _definition(dataset, samples),
        "files": sizes,
        "samples": entries,
        "subsets": {name: [sample.id for sample in subset] for name, subset in dataset.subsets.items()},
    }
    files.write_json(folder / INDEX, index)


def _decode(dataset: Any, sample: Any) -> tuple[dict[str, Any], np.ndarray, np.ndarray | None]:
    # The stamp is taken before reading: if the file changes meanwhile, the next call notices.
    entry: dict[str, Any] = {
        kind: _stamp(path) | {"sha256": files.sha256_file(path)} for kind, path in _sources(sample).items()
    }
    image = dataset.read_image(sample)
    label = None if sample.mask is None else dataset.read_mask(sample)
    if label is not None and label.shape != image.shape[:2]:
        sizes = [f"{array.shape[1]}x{array.shape[0]}" for array in (label, image)]
        raise UserError(f"{sample.mask} is {sizes[0]}, its image {sizes[1]}; a mask must have the size of its image")
    return entry | {"height": image.shape[0], "width": image.shape[1]}, image, label


@contextmanager
def _rewritten(path: Path) -> Iterator[IO[bytes]]:
    with files.atomic(path) as temporary, temporary.open("wb") as stream:
        yield stream


def _append(stream: IO[bytes], array: np.ndarray) -> int:
    offset = stream.tell()
    stream.write(np.ascontiguousarray(array, dtype=np.uint8).data)
    return offset


def in_order(function: Callable[[Any], Any], items: Iterable[Any], threads: int) -> Iterator[Any]:
    """Map in threads and keep the order of the items; only few results are in memory at a time."""
    waiting: deque[Any] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read_index(folder: Path) -> dict[str, Any] | None:
    """The index of a complete store, or None."""
    if not (folder / INDEX).is_file():
        return None
    index = files.read_json(folder / INDEX)
    for name, size in index["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return None
    return index


def _map(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, np.uint8)
    # A plain array: slicing the subclass np.memmap costs several microseconds.
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
