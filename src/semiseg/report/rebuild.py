"""A study's tables, plots and README.md from its two files alone: no data, no run folders, no params.yaml."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.report import plots, study_readme, tables
from semiseg.report.records import Records
from semiseg.runs import collect, suite_evaluations

FOLDERS = ("tables", "plots")
STAMP = "made_from.json"  # says when they were made, and is no part of them
# Git holds the study's two files, its README.md, and of tables and plots these; programs and pages want the others too.
IN_GIT = (".csv", ".svg")


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of records.jsonl."""
    path = folder / "records.jsonl"
    if not path.exists():
        raise UserError(f"{path} is missing; name the folder of a study, as results/pocket_study")
    try:
        rows = collect.read(path)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); restore it (`git checkout`)") from error
    if not rows:
        raise UserError(f"{path} is empty; restore it (`git checkout`)")
    for number, row in enumerate(rows, 1):
        if not (isinstance(row, dict) and {"run", "suite", "state"} <= row.keys()):
            raise UserError(f"{path} is damaged: entry {number} does not describe a run; restore it (`git checkout`)")
    return rows


def rebuild(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    suite = rows[0]["suite"]
    tables.write(Records(suite, folder, rows), folder / "tables")
    plots.build(suite, folder, rows)
    study_readme.build(suite, folder, rows)


@contextlib.contextmanager
def rebuilt_copy(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[Path]:
    """A temporary folder of the study's name with its two files, and all that is made from them."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / folder.resolve().name
        copy.mkdir()
        for name in ("records.jsonl", suite_evaluations.NAME):
            shutil.copyfile(folder / name, copy / name)
        rebuild(copy, rows)
        yield copy


def complete(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A clone has only some of the files; make the others, from which the pages are made."""
    if (folder / "tables/index.json").exists() and (folder / "plots/captions.json").exists():
        return
    suite_evaluations.read(folder / suite_evaluations.NAME)
    rebuild(folder, rows)
