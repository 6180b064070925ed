"""labels.npz of a run: label maps that other runs predicted for its unlabelled images, once before the training."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from semiseg.base.errors import UserError
from semiseg.base.files import atomic
from semiseg.hardware import distributed

NAME = "labels.npz"
MADE_FOR = ".spec_sha256"  # no image can have this name
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # a constant date, so that equal labels give equal bytes
POLL_SECONDS = 0.2


class GivenLabels(Mapping):
    """Image -> uint8 [H, W]; maps are read one by one, because those of a large data set do not fit into memory."""

    def __init__(self, folder: Path) -> None:
        try:
            self._stored = np.load(folder / NAME)
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / NAME} cannot be read ({error}); train the run again") from error
        self._names = dict.fromkeys(name for name in self._stored.files if name != MADE_FOR)

    def __getitem__(self, one: str) -> np.ndarray:
        return self._stored[one]

    def __contains__(self, one: object) -> bool:
        return one in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def made_for(self) -> str:
        return self._stored[MADE_FOR].item()


def given(folder: Path, spec_sha256: str, make: Callable[[], Iterator[tuple[str, np.ndarray]]]) -> GivenLabels:
    """The labels of this run: from an interrupted training, or new, made by the first process."""
    if distributed.rank() == 0 and not _made(folder, spec_sha256):
        _write(folder, spec_sha256, make())
    while distributed.rank() > 0 and not _made(folder, spec_sha256):
        time.sleep(POLL_SECONDS)
    return GivenLabels(folder)


def _made(folder: Path, spec_sha256: str) -> bool:
    try:
        return GivenLabels(folder).made_for == spec_sha256
    except (UserError, KeyError, zipfile.BadZipFile):
        return False


def _write(folder: Path, spec_sha256: str, labels: Iterator[tuple[str, np.ndarray]]) -> None:
    with atomic(folder / NAME) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in _with_spec(labels, spec_sha256):
            entry = zipfile.ZipInfo(f"{name}.npy", LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def _with_spec(labels: Iterator[tuple[str, np.ndarray]], spec_sha256: str) -> Iterator[tuple[str, np.ndarray]]:
    yield MADE_FOR, np.array(spec_sha256)
    yield from labels
