"""Robustness: mIoU on corrupted images, where `semiseg evaluate --corruptions` has been run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semiseg.report import names, statistics
from semiseg.report.cells import CONTROL, FULL, Cell, mean_sd, partition_order
from semiseg.report.records import Records
from semiseg.report.table import LISTED, Table, View

PLACE = ("dataset", "split_family", "split_sha256", "partition", "labelled", "method", "variant", "network", "head")
COLUMNS = (
    *PLACE, "corruption", "strength", "seeds", "clean_miou", "miou_mean", "miou_sd", "miou_ci_low", "miou_ci_high",
    "drop", "drop_ci_low", "drop_ci_high", "covers",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("Method", ("method", "variant"), "label"),
    View("Corruption", ("corruption",)),
    View("Strength", ("strength",)),
    View("mIoU clean", ("clean_miou",), "number"),
    View("mIoU", ("miou_mean", "miou_ci_low", "miou_ci_high"), "figure"),
    View("Change", ("drop", "drop_ci_low", "drop_ci_high"), "interval"),
    View("covers", ("covers",)),
    View("Seeds", ("seeds",), "number", 0),
    LISTED,
)
MEAN = "all"  # the mean over kinds and strengths


def build(records: Records) -> Table | None:
    cells = [cell for cell in records.cells() if cell.role != CONTROL and _measured(cell)]
    if not cells:
        return None
    rows = [row for cell in cells for row in _rows(cell)]
    rows.sort(key=lambda row: (row["dataset"], row["partition"] == FULL, str(row["split_family"]),
                               partition_order(row), names.rank(row), str(row["head"])))  # fmt: skip
    return Table(
        "corruptions", "Corrupted images",
        "mIoU in percent of the reported network on images made worse, and the change from the clean images, with 95 % "
        "intervals. Kinds and strengths are this project's own; they compare methods with each other only.",
        COLUMNS, VIEWS, tuple(rows),
        "Over several seeds the interval covers seeds, over one its test images. Every run sees the same pixels.",
    )  # fmt: skip


def _measured(cell: Cell) -> list[dict[str, Any]]:
    return [run.row["corruptions"] for run in cell.finished if run.row.get("corruptions")]


def _rows(cell: Cell) -> list[dict[str, Any]]:
    found = _measured(cell)
    kinds = [(score["kind"], score["strength"]) for score in found[0]["scores"]]
    rows = [_row(cell, found, kind, strength, [one["scores"][place] for one in found])
            for place, (kind, strength) in enumerate(kinds)]  # fmt: skip
    means = [{"miou": _mean(one, "miou"), "drop": _mean(one, "drop")} for one in found]
    return [_row(cell, found, MEAN, None, means), *rows]


def _mean(found: dict[str, Any], key: str) -> float:
    return float(np.mean([score[key] for score in found["scores"]]))


def _row(
    cell: Cell, found: Sequence[dict[str, Any]], kind: str, strength: int | None, scores: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    miou, drop = _interval(scores, "miou", "error"), _interval(scores, "drop", "drop_error")
    return {key: cell.row.get(key) for key in PLACE} | {
        "corruption": kind, "strength": strength, "seeds": len(found),
        "clean_miou": float(np.mean([one["clean"] for one in found])), "miou_mean": miou.estimate,
        "miou_sd": mean_sd([score["miou"] for score in scores])[1], "miou_ci_low": miou.low, "miou_ci_high": miou.high,
        "drop": drop.estimate, "drop_ci_low": drop.low, "drop_ci_high": drop.high, "covers": drop.covers,
    }  # fmt: skip


def _interval(scores: Sequence[dict[str, Any]], key: str, error: str) -> statistics.Interval:
    """Over seeds; of one training over its images, where the error of one kind and strength is known."""
    over = statistics.over_seeds([score[key] for score in scores])
    if over is not None:
        return over
    [only] = scores
    if error not in only:
        return statistics.alone(only[key])
    return statistics.Interval(only[key], only[error], float("inf"), "images", 1)
