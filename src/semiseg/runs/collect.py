"""records.jsonl: one line per planned run, with what its folder holds; tables are made from it, never from logs.

A description is a plain mapping of a planned run with the keys of `PLANNED` and

- `run`: path of the run folder below the suite's, e.g. "runs/pocket/cps-1_8/imas/default/seed0"; null for a cell that
  does not apply, whose `reason` then says why,
- `spec_sha256`: hash of the current spec; a folder with another one holds stale results and counts as missing,
- `needs`: the runs that must be finished before, {name that this run uses: `run` of the needed run},
- `cells`: the places where the run is shown, [{"kind": "comparison" or an ablation's name, "arm": label, "order": n}],
  with the ablation's "title"; trials of a tuning are shown in no cell,
- `source`: the source of a collected run that is shown beside the planned runs,
- `tuning`: {"trial": number, "setting": options and recipe keys} of a trial; rows of the best trial have no number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.runs import lease, needs

AFFECTS_RESULTS = False

PLANNED = (
    "suite", "run", "dataset", "split", "split_family", "partition", "split_sha256", "labelled", "unlabelled",
    "method", "title", "fidelity", "variant", "options", "head", "seed", "network", "architecture", "encoder",
    "output_stride", "crop", "iterations", "block", "tuning", "needs", "cells", "source",
)  # fmt: skip


def collect(suite_dir: str | Path, descriptions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of records.jsonl, in an order that depends on the plan alone."""
    rows = [_row(Path(suite_dir), description) for description in descriptions]
    by_run = {row["run"]: row for row in rows}
    for row in rows:
        if row["state"] == "missing" and (reason := needs.failed(row, by_run)):
            row["reason"] = reason
    return sorted(rows, key=lambda row: json.dumps([row[key] for key in ("run", "split", "method", "variant", "seed")]))


def write(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    lines = (json.dumps(row, sort_keys=True, allow_nan=False, separators=(",", ":")) for row in rows)
    files.write_text(path, "".join(f"{line}\n" for line in lines))


def read(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines() if line]


def _row(suite_dir: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: description.get(key) for key in PLANNED} | {"eval": None, "record": None, "reason": ""}
    if row["run"] is None:
        return row | {"state": "not_applicable", "reason": description.get("reason", "")}
    folder = suite_dir / row["run"]
    record = _read_if_there(folder / "record.json")
    wanted = description.get("spec_sha256")
    if record is None:
        return row | {"state": "missing"}
    if wanted is not None and record.get("spec_sha256") != wanted:
        return row | {"state": "missing", "reason": "its folder holds results of another configuration"}
    row |= {"record": _of_record(record, row), "state": record["state"]}
    if record["state"] == "interrupted" or (
        record["state"] == "running" and not lease.is_alive(lease.read(folder / "lease.json"))
    ):
        return row | {
            "state": "missing",
            "reason": "stopped before its end; repeat the command to continue from its checkpoint",
        }
    evaluated = _read_if_there(folder / "eval.json")
    if record["state"] == "done" and evaluated is None:
        return row | {"state": "missing", "reason": "trained, but not evaluated yet"}
    if evaluated is not None and evaluated["spec_sha256"] == record.get("spec_sha256"):
        row["eval"] = _without(evaluated, "confusion")
        corrupted = _read_if_there(folder / "corruptions.json")
        if corrupted is not None and corrupted["spec_sha256"] == evaluated["spec_sha256"]:
            row["corruptions"] = corrupted
    return row


def _read_if_there(path: Path) -> Any:
    return files.read_json(path) if path.exists() else None


def _of_record(record: dict[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out hashes of the folder's files, which are of no use without them, and what is repeated or unknown."""
    kept = _known(_without(record, "products"))
    if kept.get("command") == f"semiseg train results/{row['suite']}/{row['run']}":
        del kept["command"]
    if "hashes" in kept:
        kept["hashes"] = {key: value for key, value in kept["hashes"].items() if key not in ("spec", "split")}
    return kept


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items() if inner is not None}
    return value


def _without(value: Any, left_out: str) -> Any:
    """Leave out a key at every depth; confusion matrices are most of eval.json with many classes."""
    if isinstance(value, dict):
        return {key: _without(inner, left_out) for key, inner in value.items() if key != left_out}
    return value
