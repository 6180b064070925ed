"""Per-image confusion matrices of every evaluation of a run; mIoU figures and intervals are computed from them.

An image shows few classes, so most of its K x K matrix is zero. Only nonzero cells are stored: about 60 bytes for an
image of PASCAL VOC instead of 3.5 kB. The bytes of the file depend only on its content, not on the order of adding or
on resumes.

The file also holds what other metrics need of each image, from the latest evaluation that measured it: confusion
matrices of the pixels near borders ("boundary") and histograms of confidence ("confidence").
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semiseg.base import files
from semiseg.base.errors import UserError

FORMAT = 1


class Sparse(NamedTuple):
    """Sparse counts [N, ...] of one evaluation: the number of nonzero cells of each image, their indices and values."""

    filled: np.ndarray
    cell: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, matrices: np.ndarray) -> Sparse:
        flat = matrices.reshape(len(matrices), -1)
        image, cell = np.nonzero(flat)
        filled = np.bincount(image, minlength=len(flat))
        return cls(filled.astype(np.uint32), cell.astype(np.uint32), flat[image, cell].astype(np.uint64))

    def dense(self, shape: Sequence[int]) -> np.ndarray:
        """int64 [N, *shape]."""
        flat = np.zeros((len(self.filled), math.prod(shape)), dtype=np.int64)
        flat[np.repeat(np.arange(len(self.filled)), self.filled), self.cell] = self.count
        return flat.reshape(-1, *shape)


class Evaluations:
    """The scores of a run, image by image.

    classes: names in the order of the class indices; protocol: how it was evaluated (any JSON object);
    images: ids of each set ("val", "test") in the order of the matrices; groups: drive, video or building of each
    image, for sets that declare them.
    """

    def __init__(
        self,
        classes: Sequence[str],
        protocol: Mapping[str, Any],
        images: Mapping[str, Sequence[str]],
        groups: Mapping[str, Sequence[str | None]] | None = None,
    ) -> None:
        self.classes = list(classes)
        self.protocol = dict(protocol)
        self.images = {name: list(ids) for name, ids in images.items()}
        self.groups = {name: list(of_images) for name, of_images in (groups or {}).items()}
        for name, of_images in self.groups.items():
            if len(of_images) != len(self.images[name]):
                raise ValueError(f"{name}: {len(of_images)} groups for {len(self.images[name])} images")
        self._scored: dict[tuple[str, str], dict[int, Sparse]] = {}
        self._extras: dict[tuple[str, str, str], tuple[int, tuple[int, ...], Sparse]] = {}

    @property
    def sets(self) -> list[str]:
        return sorted({name for name, _ in self._scored})

    @property
    def networks(self) -> list[str]:
        return sorted({network for _, network in self._scored})

    @property
    def iterations(self) -> list[int]:
        """Iterations after which anything was evaluated, ascending."""
        return sorted({iteration for scored in self._scored.values() for iteration in scored})

    def add(self, iteration: int, name: str, network: str, matrices: np.ndarray) -> None:
        """Keep matrices [N, K, K] (rows truth, columns prediction) of set `name`; a repeated evaluation replaces."""
        matrices = np.asarray(matrices)
        expected = (len(self.images[name]), len(self.classes), len(self.classes))
        if matrices.shape != expected:
            raise ValueError(f"confusion matrices of {name} have shape {matrices.shape}, expected {expected}")
        self._scored.setdefault((name, network), {})[int(iteration)] = Sparse.of(matrices)

    def add_extra(self, kind: str, iteration: int, name: str, network: str, values: np.ndarray) -> None:
        """Keep counts [N, ...] of set `name` for other metrics; a later evaluation replaces them."""
        if len(values) != len(self.images[name]):
            raise ValueError(f"{kind} of {name} has {len(values)} entries, expected {len(self.images[name])}")
        self._extras[kind, name, network] = int(iteration), values.shape[1:], Sparse.of(values)

    def extra(self, kind: str, name: str, network: str, iteration: int) -> np.ndarray | None:
        """int64 [N, ...] of that evaluation; None if it was not measured."""
        found = self._extras.get((kind, name, network))
        return found[2].dense(found[1]) if found and found[0] == iteration else None

    def drop_after(self, iteration: int) -> None:
        """Drop evaluations after a checkpoint's iteration, because the resumed training repeats them."""
        for scored in self._scored.values():
            for later in [i for i in scored if i > iteration]:
                del scored[later]
        self._extras = {key: found for key, found in self._extras.items() if found[0] <= iteration}

    def confusion(self, name: str, network: str, index: int) -> np.ndarray:
        """int64 [N, K, K] of the evaluation `self.iterations[index]`; index -1 is the last."""
        return self._scored[name, network][self.iterations[index]].dense(2 * [len(self.classes)])

    def total(self, name: str, network: str, index: int) -> np.ndarray:
        """int64 [K, K]: one matrix over the whole set."""
        sparse = self._scored[name, network][self.iterations[index]]
        # float64 sums are exact below 2**53 pixels
        summed = np.bincount(sparse.cell, weights=sparse.count, minlength=len(self.classes) ** 2)
        return summed.astype(np.int64).reshape(len(self.classes), -1)

    def save(self, path: str | Path) -> None:
        """Write everything; equal content gives equal bytes."""
        keys = sorted(self._scored)
        header = {
            "format": FORMAT,
            "classes": self.classes,
            "protocol": self.protocol,
            "images": self.images,
            "groups": self.groups,
            "scored": [[name, network, sorted(self._scored[name, network])] for name, network in keys],
            "extras": [[*key, *self._extras[key][:2]] for key in sorted(self._extras)],
        }
        arrays = {"header": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)}
        for name, network in keys:
            scored = self._scored[name, network]
            for field in Sparse._fields:
                joined = np.concatenate([getattr(scored[i], field) for i in sorted(scored)] or [np.zeros(0, np.uint8)])
                arrays[f"{name}/{network}/{field}"] = smallest(joined)
        for kind, name, network in sorted(self._extras):
            for field, values in self._extras[kind, name, network][2]._asdict().items():
                arrays[f"{kind}/{name}/{network}/{field}"] = smallest(values)
        files.write_npz(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Evaluations:
        try:
            with np.load(path) as stored:
                arrays = {key: stored[key] for key in stored.files}
            header = json.loads(arrays["header"].tobytes())
        except FileNotFoundError:
            raise UserError(f"{path} is missing; train the run again") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} cannot be read ({error}); remove it and train the run again") from error
        if header["format"] != FORMAT:
            raise UserError(f"{path} has format {header['format']}, this version of semiseg reads {FORMAT}")
        loaded = cls(header["classes"], header["protocol"], header["images"], header["groups"])
        for name, network, iterations in header["scored"]:
            parts = [arrays[f"{name}/{network}/{field}"] for field in Sparse._fields]
            loaded._scored[name, network] = _divide(Sparse(*parts), iterations, len(loaded.images[name]))
        for kind, name, network, iteration, shape in header.get("extras", ()):
            parts = [arrays[f"{kind}/{name}/{network}/{field}"] for field in Sparse._fields]
            loaded._extras[kind, name, network] = iteration, tuple(shape), Sparse(*parts)
        return loaded


def smallest(values: np.ndarray) -> np.ndarray:
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _divide(joined: Sparse, iterations: Sequence[int], images: int) -> dict[int, Sparse]:
    """Cut the joined arrays back into one part per evaluation."""
    ends = np.concatenate([[0], np.cumsum(joined.filled, dtype=np.int64)])
    scored = {}
    for position, iteration in enumerate(iterations):
        rows = slice(position * images, (position + 1) * images)
        cells = slice(ends[rows.start], ends[rows.stop])
        scored[iteration] = Sparse(joined.filled[rows], joined.cell[cells], joined.count[cells])
    return scored
