"""Rebuild a study's tables, plots and README.md from its records and stored evaluations, and compare."""

from __future__ import annotations

import copy
import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from semiseg.report import rebuild, study_readme
from semiseg.report.cells import Run
from semiseg.runs import seal, suite_evaluations

# What tells a table's row from the others, in words.
ROW = ("method", "variant", "arm", "partition", "head", "split_family", "method_a", "method_b", "kind", "source")
SHOWN = 20  # differences that are named one by one


def verify(folder: Path) -> tuple[int, list[str]]:
    """(number of files compared, what differs), each difference in a sentence."""
    rows = rebuild.read_rows(folder)
    stored = suite_evaluations.read(folder / suite_evaluations.NAME)
    found = [*_scores(rows, stored)]
    with rebuild.rebuilt_copy(folder, rows) as again:
        names = {path.relative_to(root) for root in (folder, again) for path in _files(root)}
        names = {name for name in names if (folder / name).exists() or _belongs_in_git(name)}
        for name in sorted(names):
            found += _compare(name, folder / name, again / name)
    return len(names), found


def _files(root: Path) -> Iterator[Path]:
    if (root / study_readme.NAME).exists():
        yield root / study_readme.NAME
    for name in rebuild.FOLDERS:
        yield from (path for path in (root / name).rglob("*") if path.is_file() and path.name != rebuild.STAMP)


def _belongs_in_git(name: Path) -> bool:
    return name.suffix in rebuild.IN_GIT or name.name == study_readme.NAME


def _scores(rows: Iterable[Mapping[str, Any]], stored: Mapping[str, suite_evaluations.StoredRun]) -> Iterator[str]:
    """Each score of records.jsonl must be that of the stored matrices, by the hash that the evaluation carries."""
    for run in (Run(row, None, stored.get(row["run"])) for row in rows):
        if not run.done:
            continue
        if run.stored is None:
            yield f"{run.run}: its evaluation is not stored"
        elif {run.stored.spec_sha256, run.eval["spec_sha256"]} != {run.record["spec_sha256"]}:
            yield f"{run.run}: record, evaluation and stored matrices are of different trainings"
        elif not seal.holds(_with_matrices(run)):
            yield f"{run.run}: the scores in records.jsonl are not those of its stored confusion matrices"


def _with_matrices(run: Run) -> dict[str, Any]:
    """eval.json as it was sealed: records.jsonl leaves the confusion matrices out."""
    content = copy.deepcopy(dict(run.eval))
    for network, scores in content["networks"].items():
        for rule in ("last", "best"):
            if scores[rule]:
                matrices = run.stored.dense("confusion", network, scores[rule]["iteration"])
                scores[rule]["confusion"] = None if matrices is None else matrices.sum(0).tolist()
    return content


def _compare(name: Path, committed: Path, again: Path) -> Iterator[str]:
    if not committed.exists():
        yield f"{name} is missing; it can be made"
    elif not again.exists():
        yield f"{name} cannot be made from the records"
    elif committed.read_bytes() != again.read_bytes():
        cells = [*_cells(name, committed, again)] if name.suffix == ".csv" else []
        yield from cells or [_line(name, committed, again)]


def _cells(name: Path, committed: Path, again: Path) -> Iterator[str]:
    theirs, ours = (list(csv.DictReader(path.read_text().splitlines())) for path in (committed, again))
    if len(theirs) != len(ours) or (ours and list(theirs[0]) != list(ours[0])):
        yield f"{name}: its rows or columns are not those of the table that the records give"
        return
    for number, (their, our) in enumerate(zip(theirs, ours, strict=True), 2):
        for column in our:
            if their[column] != our[column]:
                place = " ".join(our[key] for key in ROW if our.get(key))
                says = f"it says {their[column]!r}, the records {our[column]!r}"
                yield f"{name}, line {number} ({place}), {column}: {says}"


def _line(name: Path, committed: Path, again: Path) -> str:
    pairs = zip_longest(*(path.read_bytes().split(b"\n") for path in (committed, again)))
    first = next(number for number, (one, other) in enumerate(pairs, 1) if one != other)
    text = name.suffix in (".csv", ".md", ".tex", ".json", ".svg")
    return f"{name} differs" + (f" from line {first}" if text else "")
