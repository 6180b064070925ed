"""Atomic writes of files, and hashes of their content."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place only when the block ends well."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except PermissionError as error:
        raise UserError(
            f"{path.parent} cannot be written ({error.strerror}); choose another folder or correct its permissions"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes private files (0600), but colleagues on a shared file system read the results.
        temporary.chmod(0o666 & ~umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def below(folder: str | Path) -> Iterator[Path]:
    """Files below a folder. Links to folders are followed, unless they lead to a folder that contains them."""
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place).resolve()
        folders[:] = [name for name in folders if not here.is_relative_to((Path(place) / name).resolve())]
        yield from (path for path in (Path(place) / name for name in names) if path.is_file())


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Wait for a file lock and hold it. The operating system releases it when the process ends, however it ends."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: str | Path, data: bytes) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write with sorted keys and a final newline, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_npz(path: str | Path, **arrays: Any) -> None:
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); remove it and run again") from error


def peek_json(path: str | Path, key: str | None = None) -> Any:
    """The content of a small JSON file, or one entry of it; None if it is absent, broken, or just being replaced."""
    try:
        value = json.loads(Path(path).read_bytes())
        return value if key is None else value.get(key)
    except (OSError, ValueError, AttributeError):
        return None


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | Path) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Hash of the value; the order of its keys does not matter."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
