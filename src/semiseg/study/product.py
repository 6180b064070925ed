"""The product of a rule, and the file times that make Snakemake rebuild it or leave it.

Every product names its inputs. It is made again exactly if these differ from the current inputs.
Snakemake compares file times, so the times are set accordingly: a fresh product gets a constant time that only encodes
its place in the chain; the request of a stale product gets new bytes and the present time.
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
EPOCH = 1_000_000_000  # times of fresh products start here: long ago, but late enough for zip files
TIME_OF_FOLDER = ".snakemake_timestamp"  # Snakemake reads the time of a folder from this file inside it
CHAIN = ("request", "data", "split", "run", "tuning", "tuned run", "stage", "evaluation", "tables", "plots", "report")


@dataclass(frozen=True)
class Product:
    """What one rule makes: files, their current inputs (`wanted`), and the inputs they were made from (`carried`)."""

    kind: str
    name: str
    files: tuple[Path, ...]
    wanted: Callable[[], Any]
    carried: Callable[[], Any]
    content: Any = None  # additional content of the request; it does not affect freshness
    sound: Callable[[], bool] = lambda: True  # an additional check of files that came from elsewhere
    folder: Path | None = None  # set if the rule's output is a whole folder that holds the files
    place: str = ""  # place in the chain; by default that of the kind

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
            # The time serves as a nonce: the new request never equals the old one, so Snakemake always sees the change.
            _write_request(self.request, request | {"requested": time.time_ns()})
        return fresh

    def is_asked(self) -> bool:
        """Whether the stored request equals the request that would be written now."""
        return peek_json(self.request, "content") == self.content


def _withdraw(files: Iterable[Path]) -> None:
    """Remove a run that has just finished with another spec, perhaps in a job that a killed driver left behind.

    The Snakemake process of that job touches its outputs at the end, which would make them newer than the request. It
    does not touch missing files. Nothing is lost: spec.json is restored from the record if the run is needed again.
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
    """Snakemake reads the time of a link into DVC's cache and that of its target, so both must agree."""
    return int(path.stat().st_mtime) == seconds == int(path.lstat().st_mtime)


def _set_time(path: Path, seconds: int) -> None:
    if _has_time(path, seconds):
        return
    try:
        os.utime(path, (seconds, seconds))
        os.utime(path, (seconds, seconds), follow_symlinks=False)
    except PermissionError:  # a link to another user's file in a shared cache; replace it by a copy
        write_bytes(path, path.read_bytes())
        os.utime(path, (seconds, seconds))
