"""semiseg collect FOLDERS…: check submissions and add them to a suite."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semiseg.study.study import Study


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", help="submissions, as `semiseg submit` wrote them")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    for folder in options.folders:
        print(collect(folder))


def collect(folder: Path) -> str:
    from semiseg.base.errors import UserError
    from semiseg.runs import submission
    from semiseg.runs.collected import SUBMISSIONS
    from semiseg.study import from_others
    from semiseg.study.study import Study

    manifest = submission.read(folder)
    study = Study.load(manifest["suite"])
    source = manifest["source"]
    place = study.folder / SUBMISSIONS / source
    if place.exists() and not _same(place, folder):
        raise UserError(f"{place} holds another submission of {source}; remove it, or ask the source for another name")
    _examine(study, folder, manifest)
    place.mkdir(parents=True, exist_ok=True)
    for name in (submission.ARCHIVE, submission.MANIFEST):
        if not place.samefile(folder):
            shutil.copyfile(folder / name, place / name)
    study = Study.load(manifest["suite"])
    shown = sum(theirs.source == source for theirs in from_others.beside(study))
    count = len(manifest["runs"])
    return f"{source}: {count} runs; {count - shown} equal planned runs of {study.name}, {shown} get separate rows"


def _same(place: Path, folder: Path) -> bool:
    from semiseg.runs.submission import MANIFEST

    return (place / MANIFEST).exists() and (place / MANIFEST).read_bytes() == (folder / MANIFEST).read_bytes()


def _examine(study: Study, folder: Path, manifest: dict[str, Any]) -> None:
    """Check all runs of a submission before the submission is kept."""
    import tempfile

    from semiseg.runs import submission
    from semiseg.runs.collected import Theirs
    from semiseg.runs.run_folder import RunFolder
    from semiseg.study import from_others

    with tempfile.TemporaryDirectory() as temporary:
        submission.unpack(folder, manifest, Path(temporary), study.folder)
        for name in manifest["runs"]:
            from_others.examine(study, Theirs(manifest["source"], name, RunFolder(Path(temporary) / name)))
