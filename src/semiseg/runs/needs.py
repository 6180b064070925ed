"""Runs that need other runs, for example a student that learns from the predictions of a finished teacher.

The configuration of a run contains the whole configuration of each needed run, and its spec contains their spec hashes.
They form a chain: a changed teacher makes its students stale.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.runs import spec
from semiseg.runs.run_folder import RunFolder

AFFECTS_RESULTS = False
NOT_RUN = "not run: "  # first words of the reason if a needed run failed


def finished(
    path: Path, config: dict[str, Any], wanted: dict[str, Any], splits: Path, at_default: Collection[str]
) -> dict[str, Path]:
    """The folders of the runs that the run at `path` needs; an unfinished one is an error."""
    runs = next((parent for parent in path.parents if parent.name == "runs"), splits.parent / "runs")
    found = {}
    for name, needed in spec.needed_specs(config, wanted["data"], wanted["split"]).items():
        folder = RunFolder(runs / config["needs"][name]["run"])
        needed = spec.as_carried(needed, folder.spec, spec.of_needed(at_default, name))
        sha256 = spec.spec_sha256(needed)
        if not folder.recover(needed, sha256):
            raise UserError(f"{path} was not trained: its {words(name)} {folder.path} {_state(folder, sha256)}")
        if folder.without_weights:
            raise UserError(
                f"{path} was not trained: its {words(name)} {folder.path} was collected from {folder.source} without "
                "weights; remove that folder and repeat the command to train it here first"
            )
        found[name] = folder.path
    return found


def _state(folder: RunFolder, sha256: str) -> str:
    record = folder.record or {}
    if record.get("state") == "failed" and record.get("spec_sha256") == sha256:
        why = (record.get("error") or {}).get("message", "")
        return f"failed ({why}); fix the cause and train it with `semiseg train {folder.path}`"
    what = "holds results of another configuration" if folder.spec else "is not trained yet"
    return f"{what}; train it first with `semiseg train {folder.path}`"


def failed(row: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], seen: Sequence[str] = ()) -> str | None:
    """Why a row of records.jsonl was not trained: a run that it needs failed. None if no needed run failed."""
    for name, run in (row.get("needs") or {}).items():
        other = rows.get(run)
        if other is None or run in seen:
            continue
        if other["state"] == "failed":
            return f"{NOT_RUN}{words(name)} failed"
        if above := failed(other, rows, (*seen, run)):
            return above
    return None


def words(name: str) -> str:
    """A name such as "first_student" in words: "first student"."""
    return name.replace("_", " ")
