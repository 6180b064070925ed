"""Runs of other sources: git holds `submissions/SOURCE`.

They are unpacked into `collected/SOURCE`, which git ignores.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.base.files import locked, peek_json, write_bytes, write_text
from semiseg.runs import lease, spec, submission
from semiseg.runs.run_folder import RunFolder

AFFECTS_RESULTS = False

SUBMISSIONS, COLLECTED = "submissions", "collected"
STAMP = ".archive"  # file with the hash of the archive that was unpacked


@dataclass(frozen=True)
class Theirs:
    """A run from another source, complete except for its weights."""

    source: str
    name: str  # path below runs/
    folder: RunFolder


def unpack(suite_dir: Path) -> None:
    """Update `collected/` to the content of `submissions/`."""
    wanted = {path.parent.name: path.parent for path in (suite_dir / SUBMISSIONS).glob(f"*/{submission.MANIFEST}")}
    place = suite_dir / COLLECTED
    stale = [path for path in place.glob("*") if path.is_dir() and path.name not in wanted]
    changed = [name for name, path in wanted.items() if _stamp(place / name) != _archive(path)]
    if not stale and not changed:
        return
    with locked(place / ".lock"):
        for path in stale:
            _remove_copies(suite_dir, path.name)
            shutil.rmtree(path, ignore_errors=True)
        for name in changed:
            _unpack(wanted[name], place / name, suite_dir)


def _remove_copies(suite_dir: Path, source: str) -> None:
    for record in (suite_dir / "runs").glob("*/*/*/*/*/record.json"):
        if RunFolder(record.parent).source == source and not lease.is_alive(lease.read(record.parent / "lease.json")):
            shutil.rmtree(record.parent)


def _stamp(place: Path) -> str:
    return (place / STAMP).read_text() if (place / STAMP).exists() else ""


def _archive(folder: Path) -> str:
    return str(peek_json(folder / submission.MANIFEST, "archive"))


def _unpack(folder: Path, place: Path, suite_dir: Path) -> None:
    manifest = submission.read(folder)
    if manifest["source"] != place.name:
        raise UserError(f"{folder} is the submission of {manifest['source']}; rename the folder to that")
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=".unpacking."))
    try:
        submission.unpack(folder, manifest, temporary, suite_dir)
        write_text(temporary / STAMP, manifest["archive"])
        shutil.rmtree(place, ignore_errors=True)
        temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def runs(suite_dir: Path) -> Iterator[Theirs]:
    for path in sorted((suite_dir / COLLECTED).glob("*/*/*/*/*/*/spec.json")):
        source, *name = path.parent.relative_to(suite_dir / COLLECTED).parts
        yield Theirs(source, "/".join(name), RunFolder(path.parent))


def of_run(suite_dir: Path, path: Path) -> Iterator[Theirs]:
    """The collected runs with the same name as the run at `path`."""
    name = path.relative_to(suite_dir / "runs").as_posix()
    for found in sorted((suite_dir / COLLECTED).glob(f"*/{_literally(name)}/spec.json")):
        yield Theirs(found.relative_to(suite_dir / COLLECTED).parts[0], name, RunFolder(found.parent))


def _literally(name: str) -> str:
    import glob

    return glob.escape(name)


def stand_in(path: Path, theirs: Theirs, wanted: dict[str, Any], at_default: Collection[str]) -> bool:
    """Copy the collected run into the folder `path` if its spec is the wanted one and no process trains that run."""
    wanted = spec.as_carried(wanted, theirs.folder.spec, at_default)
    sha256 = spec.spec_sha256(wanted)
    if theirs.folder.spec_sha256 != sha256 or lease.is_alive(lease.read(path / "lease.json")):
        return False
    if not RunFolder(path).take_over(theirs.folder, wanted, sha256):
        return False
    write_bytes(path / "eval.json", (theirs.folder / "eval.json").read_bytes())
    return True
