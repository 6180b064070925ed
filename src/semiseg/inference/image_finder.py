"""Finds the image files for prediction, and names the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.base.files import below
from semiseg.datasets.reading.images import SUFFIXES

AFFECTS_RESULTS = False


@dataclass(frozen=True)
class Source:
    path: Path
    name: str  # name of the results, below the output's folders and without a suffix


def find(paths: Sequence[Path], out: Path) -> list[Source]:
    """Given files, and all images below given folders except those in `out`. A missing file fails when it is read."""
    found: dict[Path, Path] = {}
    for path in paths:
        for file, relative in _below(path, out.resolve()) if path.is_dir() else [(path, Path(path.name))]:
            found.setdefault(file.resolve(), relative)
    places = [path for path in found if path.is_relative_to(out.resolve())]
    if places:
        raise UserError(f"{places[0]} lies in {out}, where the predictions go; choose another --out")
    if not found:
        raise UserError(
            f"{', '.join(map(str, paths))}: no image found ({', '.join(suffix[1:] for suffix in SUFFIXES)})"
        )
    return list(_named(found))


def _below(folder: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    for path in sorted(below(folder)):
        wanted = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        if wanted and not path.resolve().is_relative_to(out):
            yield path, path.relative_to(folder)


def _named(found: dict[Path, Path]) -> Iterator[Source]:
    """The path without suffix; with suffix if a.jpg and a.png both exist; with a number if two folders share a name.

    Names are compared without case, because the file system of the results may ignore case.
    """
    count = Counter(_stem(relative).casefold() for relative in found.values())
    taken: set[str] = set()
    for path, relative in found.items():
        stem = _stem(relative)
        wanted = stem if count[stem.casefold()] == 1 else relative.as_posix()
        name, number = wanted, 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted}-{number}"
        taken.add(name.casefold())
        yield Source(path, name)


def _stem(relative: Path) -> str:
    return (relative.with_suffix("") if relative.suffix.lower() in SUFFIXES else relative).as_posix()
