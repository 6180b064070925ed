"""The comparison: one row per cell, finished or not; differences to supervised only where they are fair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semiseg.report import names, statistics
from semiseg.report.records import FULL, Cell, Records, crop_text, is_baseline, mean_sd, partition_order
from semiseg.report.table import LISTED, Table, View
from semiseg.report.tables import published

IDENTITY = (
    "suite", "dataset", "evaluated_on", "split_family", "split_sha256", "partition", "labelled", "unlabelled",
    "method", "variant", "network", "encoder", "head", "output_stride", "crop", "iterations", "seeds",
)  # fmt: skip
FIGURES = (
    "miou_last_mean", "miou_last_sd", "miou_best_mean", "miou_best_sd", "miou_lastk_mean", "miou_lastk_sd",
    "delta_vs_supervised", "delta_ci_low", "delta_ci_high", "published_miou", "published_source", "state",
)  # fmt: skip
MORE = (
    "delta_covers", "delta_df", "delta_p", "delta_p_holm", "baseline_miou_last_mean", "selected_on", "lastk",
    "miou_last_student_mean", "miou_last_teacher_mean", "seeds_planned", "bold", "reason",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",), help="partition of the labelled pool"),
    View("n labelled", ("labelled",), "number", 0),
    View("Method", ("method",)),
    View("Variant", ("variant",)),
    View("Network", ("network",), help="student, or its moving average, the teacher"),
    View("mIoU last", ("miou_last_mean", "miou_last_sd"), "mean_sd", bold=True, help="after the last iteration"),
    View("Δ supervised", ("delta_vs_supervised", "delta_ci_low", "delta_ci_high"), "interval",
         help="to the same network of the supervised baseline, with 95 % interval"),
    View("covers", ("delta_covers",), help="what the interval speaks for"),
    View("p (Holm)", ("delta_p_holm",), "p", help="corrected for all differences of this table"),
    View("mIoU last k", ("miou_lastk_mean", "miou_lastk_sd"), "mean_sd", help="mean of the last k evaluations"),
    View("mIoU best (selected)", ("miou_best_mean", "miou_best_sd"), "mean_sd",
         help="best evaluation on the selection set: what most papers report"),
    View("Student", ("miou_last_student_mean",), "number"),
    View("Teacher", ("miou_last_teacher_mean",), "number"),
    View("Seeds", ("seeds",), "number", 0),
    View("Published", ("published_miou",), "number"),
    View("Lists", ("split_family",)),
    LISTED,
    View("State", ("state",), "state"),
)  # fmt: skip


def build(records: Records) -> Table:
    cells = records.cells()
    rows = [identity(cell) | figures(cell) | difference(records, cell) for cell in cells]
    known = published.figures()
    for cell, row in zip(cells, rows, strict=True):
        published.fill_in(row, cell, known)
    correct(rows)
    mark_best(records, cells, rows)
    rows.sort(key=place)
    return Table(
        "comparison",
        "Comparison",
        "mIoU in percent, mean ± standard deviation over seeds (none with one seed), and the difference to the "
        "supervised baseline on the same labelled images, same network, head and recipe, with its 95 % interval.",
        (*IDENTITY, *FIGURES, *MORE),
        VIEWS,
        tuple(rows),
        "Bold: better than the next in the same column by more than the interval of their difference. Figures of "
        "different lists or heads are never subtracted. “best” was selected by its score on the selection set.",
    )


def identity(cell: Cell) -> dict[str, Any]:
    evaluated = next((run.eval for run in cell.finished), {})
    row = {key: cell.row.get(key) for key in IDENTITY}
    return row | {
        "evaluated_on": evaluated.get("evaluated_on"),
        "selected_on": evaluated.get("selected_on"),
        "crop": crop_text(cell.crop),
        "seeds": len(cell.finished),
        "seeds_planned": len([run for run in cell.runs if run.state != "not_applicable"]),
        "state": cell.state,
        "reason": cell.reason,
    }


def figures(cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for rule in ("last", "best", "lastk"):
        row[f"miou_{rule}_mean"], row[f"miou_{rule}_sd"] = mean_sd(cell.values(rule))
    for network in ("student", "teacher"):
        row[f"miou_last_{network}_mean"], _ = mean_sd(cell.values("last", network))
    lastk = next((run.rule("lastk") for run in cell.finished), None)
    return row | {"lastk": lastk and lastk["k"], "published_miou": None, "published_source": None}


def difference(records: Records, cell: Cell) -> dict[str, Any]:
    baseline = records.baseline(cell)
    interval = None
    if baseline is not None and not is_baseline(cell) and cell.finished:
        interval = records.difference(cell, baseline)
    shown = dict.fromkeys(
        ("delta_vs_supervised", "delta_ci_low", "delta_ci_high", "delta_covers", "delta_df", "delta_p")
    )
    shown["baseline_miou_last_mean"] = mean_sd(baseline.values("last", cell.network))[0] if baseline else None
    if interval is not None:
        shown |= spell_out(interval)
    elif baseline is not None and not is_baseline(cell):
        # One seed, and no per-image matrices at hand: a difference without an interval.
        pairs = _single_pairs(cell, baseline)
        shown["delta_vs_supervised"] = float(np.mean(pairs)) if pairs else None
    return shown


def _single_pairs(cell: Cell, baseline: Cell) -> list[float]:
    theirs = {run.seed: run.miou("last", cell.network) for run in baseline.finished}
    return [run.miou() - theirs[run.seed] for run in cell.finished if theirs.get(run.seed) is not None]


def spell_out(interval: statistics.Interval) -> dict[str, Any]:
    return {
        "delta_vs_supervised": interval.estimate,
        "delta_ci_low": interval.low,
        "delta_ci_high": interval.high,
        "delta_covers": interval.covers,
        "delta_df": interval.df,
        "delta_p": interval.p,
    }


def correct(rows: list[dict[str, Any]]) -> None:
    """Holm over the table's differences."""
    tested = [row for row in rows if row.get("delta_p") is not None]
    for row in rows:
        row["delta_p_holm"] = None
    for row, adjusted in zip(tested, statistics.holm([row["delta_p"] for row in tested]), strict=True):
        row["delta_p_holm"] = adjusted


def mark_best(records: Records, cells: Sequence[Cell], rows: Sequence[dict[str, Any]]) -> None:
    """Bold is what beats the next in its setting by more than their interval; nobody, where it is too close."""
    for row in rows:
        row["bold"] = False
    columns: dict[tuple[Any, ...], list[int]] = {}
    for index, cell in enumerate(cells):
        if rows[index]["miou_last_mean"] is not None:
            columns.setdefault(cell.setting, []).append(index)
    for column in columns.values():
        ranked = sorted(column, key=lambda index: -rows[index]["miou_last_mean"])
        if len(ranked) > 1:
            first, second = ranked[:2]
            rows[first]["bold"] = beats(records, cells[first], cells[second])


def beats(records: Records, first: Cell, second: Cell) -> bool:
    """By the difference of what both report; student to student or teacher to teacher when both keep both."""
    if first.network != second.network:
        intervals = [records.difference(first, second, network) for network in ("student", "teacher")]
        return all(interval is not None and interval.low > 0 for interval in intervals)
    interval = records.difference(first, second)
    return interval is not None and interval.low > 0


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Where a row stands: by list and number of labels, all labels last, then in the order of the methods."""
    full = row["partition"] == FULL
    return (row["dataset"], full, str(row["split_family"]), partition_order(row), names.rank(row), str(row["head"]))
