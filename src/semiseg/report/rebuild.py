"""A study's tables, plots and README.md from its two files alone: no data, no run folders, no params.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    return rows


def rebuild(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    suite = rows[0]["suite"]
    tables.write(Records(suite, folder, rows), folder / "tables")
    plots.build(suite, folder, rows)
    study_readme.build(suite, folder, rows)


def complete(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """In a clone, which has but some of the files, make the others; the pages are made from them."""
    if (folder / "tables/index.json").exists() and (folder / "plots/captions.json").exists():
        return
    suite_evaluations.read(folder / suite_evaluations.NAME)
    rebuild(folder, rows)
