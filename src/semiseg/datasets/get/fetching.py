"""Download, verify and unpack the archives of a data set; finished parts are skipped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets.get.archives import Archive, Source, source_of
from semiseg.datasets.get.download import Expected, Patience, Receipt, download, hash_file
from semiseg.datasets.get.unpack import BadArchive, unpack

Say = Callable[[str], None]


def get_archives(
    name: str,
    kind: str,
    parts: set[str],
    root: Path,
    say: Say,
    sources: Path | None = None,
    patience: Patience | None = None,
) -> None:
    """Download and unpack the archives of the kind in sources.yaml, with the given optional parts."""
    source = source_of(kind, sources)
    say(f"{name}: terms of use at {source.terms}")
    _get_archives(name, source, parts, root, say, patience)


def _get_archives(name: str, source: Source, parts: set[str], root: Path, say: Say, patience: Patience | None) -> None:
    home = Path(root) / name
    wanted = [one for one in source.archives if one.part is None or one.part in parts]
    todo = [one for one in wanted if not _present(one, home)]
    absent = [one.file for one in todo if not one.urls and not (home / "archives" / one.file).exists()]
    if absent and source.instructions:
        folder = home / "archives"
        raise UserError(
            source.instructions.format(missing=" and ".join(absent), folder=folder.absolute(), name=name).strip()
        )
    if todo:
        with _alone(home):
            for archive in todo:
                if not _present(archive, home):  # another process may have done it meanwhile
                    _bring(archive, home, say, patience)


def _present(archive: Archive, home: Path) -> bool:
    return all((home / "raw" / product).exists() for product in archive.products)


def _alone(home: Path) -> AbstractContextManager[None]:
    """One process at a time downloads and unpacks, so any partial file that it finds was left by a killed process."""
    return files.locked(home / ".getting")


def _bring(archive: Archive, home: Path, say: Say, patience: Patience | None) -> None:
    """Download or find the archive, unpack it, and only then store its hash: only valid archives are recorded."""
    path, lock = home / "archives" / archive.file, home / "sources.lock.json"
    expected = _expected(archive, lock)
    if path.exists():
        receipt = _placed(path, expected, say)
        try:
            _unpack(archive, path, home, say)
        except BadArchive as error:
            raise UserError(f"{error}; remove it and download it again") from error
    else:
        receipt = _download(archive, path, home, expected, say, patience)
    verified = bool(archive.hashes)
    files.write_json(lock, _notes(lock) | {archive.file: _note(archive, receipt, verified)})
    if not verified:
        say(f"{archive.file}: sha256 {receipt.hashes['sha256']} (computed; no published hash exists for comparison)")
    if archive.urls:
        path.unlink()


def _download(
    archive: Archive, path: Path, home: Path, expected: Expected, say: Say, patience: Patience | None
) -> Receipt:
    """Use the first mirror whose file unpacks: without a known hash, an error page looks like a file."""
    failures: list[str] = []
    urls = archive.urls
    while True:
        try:
            receipt = download(urls, path, expected, patience)
        except UserError as error:
            raise UserError("; ".join([*failures, str(error)])) from error
        try:
            _unpack(archive, path, home, say)
            return receipt
        except BadArchive as error:
            path.unlink()
            failures.append(f"{receipt.url} gave another file than the archive, which was removed ({error})")
            urls = urls[urls.index(receipt.url) + 1 :]
            if expected.hashes or not urls:
                raise UserError("; ".join(failures)) from error
            say(f"{failures[-1]}; asking the next mirror")


def _unpack(archive: Archive, path: Path, home: Path, say: Say) -> None:
    say(f"unpacking {archive.file}")
    unpack(path, home / "raw", archive.products, archive.most, archive.strip)


def _notes(lock: Path) -> dict[str, Any]:
    return files.read_json(lock) if lock.exists() else {}


def _expected(archive: Archive, lock: Path) -> Expected:
    """The archive's published size and hashes, or those of the previous download."""
    size = archive.bytes.value if archive.bytes else None
    if archive.hashes:
        return Expected(size, tuple((one.algorithm, one.value) for one in archive.hashes))
    seen = _notes(lock).get(archive.file, {}).get("sha256")
    origin = f" (noted in {lock} by a previous download; to use another file, remove {archive.file} from there)"
    return Expected(size, (("sha256", seen),) if seen else (), origin if seen else "")


def _placed(path: Path, expected: Expected, say: Say) -> Receipt:
    receipt = hash_file(path, say)
    if expected.bytes and receipt.bytes != expected.bytes:
        raise UserError(f"{path} has {receipt.bytes} bytes, expected {expected.bytes}; remove it and download it again")
    for algorithm, value in expected.hashes:
        if receipt.hashes[algorithm] != value:
            raise UserError(
                f"{path} has {algorithm} {receipt.hashes[algorithm]}, expected {value}{expected.origin}; "
                "remove it and download it again"
            )
    return receipt


def _note(archive: Archive, receipt: Receipt, verified: bool) -> dict[str, Any]:
    return {
        "status": "verified" if verified else "seen",
        "against": [f"{one.algorithm} read in {one.read_in}" for one in archive.hashes or ()],
        "url": receipt.url,
        "bytes": receipt.bytes,
        "sha256": receipt.hashes["sha256"],
    }
