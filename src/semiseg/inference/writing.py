"""A file that cannot be written ends with one sentence that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.base.files import DISK_FULL

AFFECTS_RESULTS = False


@contextmanager
def writing(path: Path, option: str = "--out") -> Iterator[None]:
    """`option` is the one with which another place can be chosen."""
    try:
        yield
    except OSError as error:
        reason = "its disk is full" if error.errno in DISK_FULL else error.strerror or error
        raise UserError(f"{path} cannot be written ({reason}); choose another {option}") from error
