"""Unpack selected files of a tar or zip archive: inside the target, no links, within limits, all or nothing."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from semiseg.base.errors import UserError
from semiseg.base.files import DISK_FULL
from semiseg.datasets.get.archives import Limits

_BLOCK = 1 << 20
_STALE = ".unpack-"
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)


class BadArchive(UserError):
    """The archive is invalid; another copy of it may be valid."""


@dataclass(frozen=True)
class _Member:
    name: str
    directory: bool
    regular: bool
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, target: Path, products: tuple[str, ...], most: Limits, strip: int = 0) -> None:
    """Put the products (files or folders of the archive) below `target`; existing products are kept."""
    target.mkdir(parents=True, exist_ok=True)
    for left_behind in target.glob(f"{_STALE}*"):  # left by a process that was killed; the caller holds a lock
        shutil.rmtree(left_behind, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_STALE, dir=target))
    try:
        _extract(archive, folder, products, most, strip)
        missing = [product for product in products if not (folder / product).exists()]
        if missing:
            raise BadArchive(f"{archive} has no {', '.join(missing)}; is it the right archive?")
        for product in products:
            if not (target / product).exists():
                (target / product).parent.mkdir(parents=True, exist_ok=True)
                (folder / product).rename(target / product)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(archive: Path, folder: Path, products: tuple[str, ...], most: Limits, strip: int) -> None:
    count, left = 0, most.bytes
    wanted = [PurePosixPath(product) for product in products]
    try:
        with _members(archive) as members:
            for member in members:
                name = PurePosixPath(*_parts(member.name, archive)[strip:])
                if member.directory or not any(name.is_relative_to(product) for product in wanted):
                    continue
                if not member.regular:
                    raise BadArchive(f"{archive} holds {member.name}, which is a link or device; it is not unpacked")
                count += 1
                if count > most.files:
                    raise BadArchive(f"{archive} holds more than {most.files} files; it is not unpacked")
                left = _copy(member.open(), folder / name, left, archive)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise UserError(f"no space left to unpack {archive} into {folder.parent}; free some space") from error
        if isinstance(error, OSError) and error.errno in _NOT_ALLOWED:
            place = error.filename or folder.parent
            raise UserError(
                f"{archive} cannot be unpacked ({place}: {error.strerror}); correct the permissions"
            ) from error
        raise BadArchive(f"{archive} is damaged or no archive ({_reason(archive, error)})") from error


def _reason(archive: Path, error: Exception) -> str:
    """The reason in one line, because tarfile lists the errors of all its readers."""
    with archive.open("rb") as file:
        if file.read(512).lstrip()[:1] == b"<":
            return "it is a web page"
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(" :")


def _parts(name: str, archive: Path) -> tuple[str, ...]:
    """The path's parts. A path out of the target makes the whole archive invalid."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in path.parts[:1]:
        raise BadArchive(f"{archive} holds the path {name!r}, which leads out of its folder; it is not unpacked")
    return path.parts


def _copy(content: IO[bytes], path: Path, left: int, archive: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = path.open("xb")
    except FileExistsError as error:
        raise BadArchive(f"{archive} holds {path.name} twice; it is not unpacked") from error
    with file, content:
        while block := content.read(_BLOCK):
            left -= len(block)
            if left < 0:  # count the bytes that are read; the header may be wrong
                raise BadArchive(f"{archive} unpacks to more bytes than its data set has; it is not unpacked")
            file.write(block)
    return left


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield (_zip_member(opened, info) for info in opened.infolist())
    else:
        with tarfile.open(archive) as opened:
            yield (_tar_member(opened, info) for info in opened)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    regular = stat.S_IFMT(mode) in (0, stat.S_IFREG)
    return _Member(info.orig_filename, info.is_dir(), regular, lambda: archive.open(info))


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    return _Member(info.name, info.isdir(), info.isreg(), lambda: archive.extractfile(info))
