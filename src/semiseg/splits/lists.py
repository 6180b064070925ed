"""Published lists of labelled images: found in a folder or downloaded at a pinned commit, verified by their hashes."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.base.ids import ids_sha256, parse_ids

RAW = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
_LARGEST = 4_000_000  # bytes; the longest list has 1.5 MB
_MOST_FILES = 5_000  # files of a user's folder that are read


@dataclass(frozen=True)
class ListFile:
    """One file that holds a list, at a pinned commit."""

    repository: str
    url: str
    path: str
    sha256: str


@dataclass(frozen=True)
class KnownList:
    family: str
    dataset: str
    partition: str
    count: int
    ids_sha256: str
    files: tuple[ListFile, ...]


@cache
def known_lists() -> dict[tuple[str, str, str], KnownList]:
    """All lists by (family, data set, partition)."""
    content = yaml.safe_load((Path(__file__).parent / "split_lists.yaml").read_text())
    repositories = content["repositories"]
    known = {}
    for entry in content["lists"]:
        sources = tuple(_list_file(repositories[name], name, path, digest) for name, path, digest in entry["files"])
        key = (entry["family"], entry["dataset"], str(entry["partition"]))
        known[key] = KnownList(*key, entry["count"], entry["ids_sha256"], sources)
    return known


def _list_file(repository: dict[str, str], name: str, path: str, digest: str) -> ListFile:
    owner = repository["url"].removeprefix("https://github.com/")
    return ListFile(name, RAW.format(repository=owner, commit=repository["commit"], path=path), path, digest)


def literature_ids(family: str, dataset: str, partition: str, lists_dir: Path | None) -> list[str]:
    """The ids of a list, verified; from `lists_dir` (recognised by content, not by name), else downloaded into it."""
    known = known_lists()[family, dataset, partition]
    data = (_search(lists_dir, known) if lists_dir else None) or _fetch(known)
    if lists_dir:
        place = lists_dir / family.replace(":", "-") / dataset / f"{partition.replace('/', '_')}.txt"
        if not place.exists() and not _search(lists_dir, known):
            files.write_bytes(place, data)
    return verified_ids(known, data.decode())


def verified_ids(known: KnownList, text: str) -> list[str]:
    ids = parse_ids(text)
    found = ids_sha256(ids)
    if len(ids) != known.count or found != known.ids_sha256:
        raise UserError(
            f"the list {known.family} {known.partition} of {known.dataset} has {len(ids)} ids, sha256 {found[:12]}…; "
            f"expected {known.count}, {known.ids_sha256[:12]}…; remove it and run again"
        )
    return ids


@cache
def _folder_index(folder: Path) -> dict[str, Path]:
    found = {}
    for number, path in enumerate(sorted(folder.rglob("*.txt"))):
        if number >= _MOST_FILES:
            break
        if path.is_file() and path.stat().st_size <= _LARGEST:
            found[files.sha256_file(path)] = path
    return found


def _search(folder: Path, known: KnownList) -> bytes | None:
    """A file of the folder with one of the list's hashes; a clone of any of the repositories suffices."""
    if not folder.is_dir():
        return None
    index = _folder_index(folder.resolve())
    for source in known.files:
        if source.sha256 in index:
            return index[source.sha256].read_bytes()
    return None


def _fetch(known: KnownList) -> bytes:
    reasons = []
    for source in known.files:
        try:
            with urllib.request.urlopen(source.url, timeout=30) as reply:
                data = reply.read(_LARGEST + 1)
        except (urllib.error.URLError, OSError) as error:
            reasons.append(f"{source.url}: {getattr(error, 'reason', error)}")
            continue
        if files.sha256_bytes(data) == source.sha256:
            return data
        reasons.append(f"{source.url}: wrong sha256")
    raise UserError(
        f"the list {known.family} {known.partition} of {known.dataset} could not be fetched ({'; '.join(reasons)}); "
        f"put a clone of one of the repositories, or the file, into the lists folder"
    )
