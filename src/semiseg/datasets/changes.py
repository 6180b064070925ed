"""Finds files that differ from the manifest: edited, added or removed since the check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets.dataset import open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.manifest import manifest_path, relative

_NAMED = 3


@dataclass(frozen=True)
class Changes:
    edited: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    others: tuple[str, ...] = ()  # changes other than files: classes, subsets

    def __bool__(self) -> bool:
        return bool(self.edited or self.added or self.removed or self.others)

    def __str__(self) -> str:
        """`1 file edited (masks/a.png), 2 added (images/b.png, masks/b.png)`."""
        parts = [
            f"{len(names)} {'file' if len(names) == 1 else 'files'} {what} ({_some(names)})"
            for what, names in (("edited", self.edited), ("added", self.added), ("removed", self.removed))
            if names
        ]
        return ", ".join([*parts, *(f"other {what}" for what in self.others)])


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """The changes between two manifests."""
    old, new = before["files"], after["files"]
    return Changes(
        edited=tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        others=tuple(
            what
            for what, key in (("classes", "classes"), ("subsets", "subsets"), ("coding of masks", "coding"))
            if before.get(key) != after.get(key)
        ),
    )


def since_check(name: str, config: DatasetConfig, root: Path = Path("data")) -> Changes:
    """The changes of the files on disk, all of which are read; no changes if manifest or data set is missing."""
    try:
        before = files.read_json(manifest_path(name, root))
        dataset = open_dataset(name, config, root)
    except (UserError, OSError):
        return Changes((), (), ())
    samples = [sample for subset in dataset.subsets.values() for sample in subset]
    paths = {path for sample in samples for path in (sample.image, sample.mask) if path is not None}
    found = {relative(dataset, path): files.sha256_file(path) for path in paths}
    return between(before, {**before, "files": found})


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
