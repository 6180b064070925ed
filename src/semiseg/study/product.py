"""The product of a rule, and how Snakemake learns whether to make it again.

Every product names what it was made from. It is made again exactly if this differs from the current inputs.
File times are then set to tell the same story, because they are what Snakemake reads: a fresh product gets a time that
only says its place in the chain, and the request of a stale one gets new bytes and the present time.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.base.files import peek_json, write_bytes

REQUESTS = Path(".snakemake/requests")
LEFT_BEHIND_SECONDS = 300
EPOCH = 1_000_000_000  # times of fresh products start here: long ago, and later than what zip files can hold
TIME_OF_FOLDER = ".snakemake_timestamp"  # Snakemake reads a folder's time from this file in it
CHAIN = ("request", "data", "split", "run", "tuning", "tuned run", "stage", "evaluation", "tables", "plots", "report")


@dataclass(frozen=True)
class Product:
    """What one rule makes: its files, what they should be made from, and what they say they were made from."""

    kind: str
    name: str
    files: tuple[Path, ...]
    wanted: Callable[[], Any]
    carried: Callable[[], Any]
    content: Any = None  # further content of the request, which does not affect freshness
    sound: Callable[[], bool] = lambda: True  # a further check of files that came from elsewhere
    folder: Path | None = None  # where the rule's output is a whole folder, which holds the files
    place: str = ""  # in the chain; by default that of its kind

    @property
    def request(self) -> Path:
        return REQUESTS / self.kind / f"{self.name}.json"

    @property
    def time(self) -> int:
        return EPOCH + CHAIN.index(self.place or self.kind)

    def fresh(self) -> bool:
        return self._is(self.wanted())

    def _is(self, wanted: Any) -> bool:
        if not all(path.exists() for path in self.files) or self.carried() != wanted:
            return False
        return all(_has_time(path, self.time) for path in self.files) or self.sound()

    def ask(self) -> bool:
        """Write the request and set the times; True when the product is fresh."""
        wanted = self.wanted()
        fresh = self._is(wanted)
        request = {"wanted": wanted, "content": self.content}
        if fresh:
            if peek_json(self.request) != request:
                _write_request(self.request, request)
            os.utime(self.request, (EPOCH, EPOCH))
            for path in self.files:
                _set_time(path, self.time)
            if self.folder:
                (self.folder / TIME_OF_FOLDER).touch()
                _set_time(self.folder / TIME_OF_FOLDER, self.time)
        else:
            if self.kind == "run":
                _withdraw(self.files)
            # A nonce: neither an equal checksum nor an old file time can hide that something has to be done.
            _write_request(self.request, request | {"requested": time.time_ns()})
        return fresh

    def is_asked(self) -> bool:
        """Whether the present request equals the one that would be written now."""
        return peek_json(self.request, "content") == self.content


def _withdraw(files: Iterable[Path]) -> None:
    """Remove what was finished just now for another spec, perhaps by a job that a killed driver left behind.

    Snakemake around that job touches its output once more at the end, which would make it newer than the request; what
    is not there is not touched. Nothing is lost: the record brings spec.json back when it is wanted again.
    """
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < LEFT_BEHIND_SECONDS:
                path.unlink()


def _write_request(path: Path, value: Any) -> None:
    """Write atomically but without fsync: a lost request is written again, and there may be thousands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


def _has_time(path: Path, seconds: int) -> bool:
    """Of a link into DVC's cache Snakemake reads both times, its own and its target's."""
    return int(path.stat().st_mtime) == seconds == int(path.lstat().st_mtime)


def _set_time(path: Path, seconds: int) -> None:
    if _has_time(path, seconds):
        return
    try:
        os.utime(path, (seconds, seconds))
        os.utime(path, (seconds, seconds), follow_symlinks=False)
    except PermissionError:  # a link to a file of somebody else's, in a shared cache: have a copy of our own
        write_bytes(path, path.read_bytes())
        os.utime(path, (seconds, seconds))
