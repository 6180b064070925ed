"""The trials of a suite that tunes: what was tried for each method, how it did on val, and which was best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from semiseg.report import names
from semiseg.report.cells import Run
from semiseg.report.records import Records
from semiseg.report.table import LISTED, Table, View

COLUMNS = (
    "suite", "dataset", "split_family", "split_sha256", "partition", "labelled", "method", "trial", "setting",
    "network", "iterations", "seed", "val_miou", "gain", "best", "state", "reason",
)  # fmt: skip
VIEWS = (
    View("Method", ("label",)),
    View("Trial", ("trial",)),
    View("Setting", ("setting",), help="what it changes of the default"),
    View("mIoU on val", ("val_miou",), "number", bold=True),
    View("Δ default", ("gain",), "number", help="to the first trial, the default setting"),
    View("Data", ("dataset",)),
    View("Labels", ("partition",)),
    View("Iterations", ("iterations",), "number", 0),
    LISTED,
    View("State", ("state",), "state"),
)


def build(records: Records) -> Table | None:
    """None for a suite that does not tune."""
    by_method: dict[str, list[Run]] = defaultdict(list)
    for run in records.runs:
        if (run.row.get("tuning") or {}).get("trial") is not None:
            by_method[run.method].append(run)
    if not by_method:
        return None
    rows = [row for method in sorted(by_method, key=_order) for row in _of_method(by_method[method])]
    return Table(
        "tuning",
        "Tuning",
        "As many trials for every method, judged on val alone; the best one's setting fills the row “tuned” of the "
        "comparison.",
        COLUMNS,
        VIEWS,
        tuple(rows),
        "Bold: the best trial of its method, of equals the first. Each is one training on one list, so that a small "
        "lead may be chance.",
    )


def _order(method: str) -> tuple[Any, ...]:
    return names.rank({"method": method, "variant": "default"})


def _of_method(runs: list[Run]) -> list[dict[str, Any]]:
    runs = sorted(runs, key=lambda run: run.row["tuning"]["trial"])
    scores = [run.miou("last") if run.done else None for run in runs]
    # Before all are done there is no best.
    best = max(range(len(runs)), key=lambda k: (scores[k], -k)) if None not in scores else None
    return [_row(run, score, scores[0], k == best) for k, (run, score) in enumerate(zip(runs, scores, strict=True))]


def _row(run: Run, score: float | None, default: float | None, best: bool) -> dict[str, Any]:
    known = {key: run.row.get(key) for key in COLUMNS if key in run.row}
    tuning = run.row["tuning"]
    return known | {
        "label": names.title(run.method),
        "trial": tuning["trial"],
        "setting": _text(tuning["setting"]) or "default",
        "val_miou": score,
        "gain": None if score is None or default is None else score - default,
        "best": best,
        "bold": best,
    }


def _text(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.removeprefix('recipe.')} {value}" for key, value in sorted(setting.items()))
