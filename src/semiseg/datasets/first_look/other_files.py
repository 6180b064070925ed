"""Finds files that no reader supports in a folder of images, such as .heic of an iPhone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from semiseg.base.files import below
from semiseg.datasets.reading.images import FORMATS, SUFFIXES


def ignored(folders: Iterable[Path], but: Path | None = None, read: Collection[str] = SUFFIXES) -> str:
    """`2 files of other kinds ignored (.heic)`, or nothing; hidden files and those below `but` are not counted."""
    kinds = Counter(
        path.suffix.lower() or "no suffix"
        for folder in folders
        for path in below(folder)
        if path.suffix.lower() not in read and not path.name.startswith(".")
        and not (but and path.resolve().is_relative_to(but.resolve()))
    )  # fmt: skip
    count = kinds.total()
    if not count:
        return ""
    files = "1 file of another kind" if count == 1 else f"{count} files of other kinds"
    return f"{files} ignored ({', '.join(sorted(kinds))}); images are read as {', '.join(FORMATS)}"
