"""What products were made from according to their stamps, and hashes of the code that makes them."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

from semiseg.base import fingerprint
from semiseg.base.files import peek_json, sha256_file, sha256_json
from semiseg.runs import seal
from semiseg.runs.run_folder import SHOWN, RunFolder

MADE_BY = {
    "tables": (
        "semiseg.study.descriptions",
        "semiseg.runs.collect",
        "semiseg.runs.suite_evaluations",
        "semiseg.report.tables",
    ),
    "plots": ("semiseg.report.plots", "semiseg.report.study_readme"),
    "report": ("semiseg.report.html",),
}


@functools.cache
def assembling_code(kind: str) -> str:
    """Hash of the code of tables, plots or report; includes templates, styles and texts, which no import names."""
    assets = [
        path for path in sorted((fingerprint.PACKAGE / "report").rglob("*")) if path.is_file() and path.suffix != ".py"
    ]
    texts = {
        str(path.relative_to(fingerprint.PACKAGE)): sha256_file(path)
        for path in assets
        if "__pycache__" not in path.parts
    }
    return sha256_json([fingerprint.fingerprint(*MADE_BY[kind], of_training=False), texts])


@functools.cache
def evaluation_code() -> str:
    return sha256_json(fingerprint.fingerprint("semiseg.scoring.selection", of_training=False))


def of_evaluation(folder: Path) -> dict[str, Any]:
    """The inputs of a finished run's evaluation."""
    return {"spec_sha256": RunFolder(folder).spec_sha256, "code": evaluation_code()}


def is_scored(folder: Path) -> bool:
    """Whether a finished run has an evaluation, and that evaluation is up to date."""
    found = peek_json(folder / "eval.json") or {}
    return of_evaluation(folder).items() <= found.items() and seal.is_whole(folder / "eval.json")


def undamaged(folder: RunFolder) -> bool:
    """Whether the products of a run are undamaged.

    `semiseg adopt` checks the weights: they are large, and no figure uses them.
    """
    damaged = folder.damage(SHOWN)
    if damaged:
        print(
            f"semiseg: {', '.join(damaged)} in {folder.path} is damaged, so the run will be trained again; "
            "`semiseg adopt` says how to restore it instead",
            file=sys.stderr,
        )
    return not damaged


def stamped(stamp: Path) -> Any:
    """The inputs of a folder of tables, plots or pages according to its stamp; None if one of its files is missing."""
    found = peek_json(stamp)
    if not isinstance(found, dict):
        return None
    listed = found.pop("files", [])
    return found if all((stamp.parent / name).exists() for name in listed) else None
