"""Metrics beside mIoU: each with its interval, and its difference to the supervised baseline with one."""

from __future__ import annotations

from typing import Any

from semiseg.report import names
from semiseg.report.cells import BASELINE, CONTROL, FULL, Cell, mean_sd, partition_order
from semiseg.report.records import MIOU, Records
from semiseg.report.statistics import Interval
from semiseg.report.table import LISTED, Table, View
from semiseg.scoring.metric import REGISTRY

PLACE = ("dataset", "split_family", "split_sha256", "partition", "labelled", "method", "variant", "network", "head")
FIGURES = ("mean", "sd", "ci_low", "ci_high", "covers", "delta", "delta_ci_low", "delta_ci_high", "delta_covers")
IDENTITY = (
    View("Labels", ("partition",)),
    View("Method", ("method", "variant"), "label"),
    View("Network", ("network",)),
)


def build(records: Records) -> Table:
    """Only metrics that at least one cell has: runs of an earlier version did not keep what all of them need."""
    cells = [cell for cell in records.cells() if cell.role != CONTROL and cell.finished]
    known = [name for name in REGISTRY.names() if name != MIOU]
    rows = [_row(records, cell, known) for cell in cells]
    shown = [name for name in known if any(row[f"{name}_mean"] is not None for row in rows)]
    rows.sort(key=lambda row: (row["dataset"], row["partition"] == FULL, str(row["split_family"]),
                               partition_order(row), names.rank(row), str(row["head"])))  # fmt: skip
    columns = tuple(f"{name}_{figure}" for name in shown for figure in FIGURES)
    return Table(
        "metrics", "Other metrics",
        "After the last iteration, in percent, with 95 % intervals, and differences to the supervised baseline.",
        (*PLACE, "seeds", *columns),
        (*IDENTITY, *(view for name in shown for view in _views(name)), LISTED),
        tuple(rows),
        " ".join(f"{REGISTRY.load(name).title}: {REGISTRY.load(name).help}{_sense(name)}." for name in shown)
        + (" Intervals cover what those of the comparison cover." if shown else "No cell has stored evaluations."),
    )  # fmt: skip


def _row(records: Records, cell: Cell, known: list[str]) -> dict[str, Any]:
    row = {key: cell.row.get(key) for key in PLACE} | {"seeds": len(cell.finished)}
    baseline = records.baseline(cell) if cell.role != BASELINE else None
    for name in known:
        found = [records.value(run, cell.network, name) for run in cell.finished]
        mean, sd = mean_sd([value for value in found if value is not None])
        own = records.contrast([(1.0, cell)], cell.network, name) if mean is not None else None
        gained = records.difference(cell, baseline, metric=name) if own and baseline else None
        row |= {f"{name}_mean": mean, f"{name}_sd": sd, f"{name}_delta": gained and gained.estimate}
        row |= _limits(name, own) | _limits(f"{name}_delta", gained)
    return row


def _limits(prefix: str, interval: Interval | None) -> dict[str, Any]:
    of = {"ci_low": "low", "ci_high": "high", "covers": "covers"}
    return {f"{prefix}_{key}": interval and getattr(interval, name) for key, name in of.items()}


def _views(name: str) -> tuple[View, View]:
    metric = REGISTRY.load(name)
    return (
        View(metric.title, (f"{name}_mean", f"{name}_ci_low", f"{name}_ci_high"), "figure", metric.digits, metric.help),
        View(f"Δ {metric.title}", (f"{name}_delta", f"{name}_delta_ci_low", f"{name}_delta_ci_high"), "interval",
             metric.digits, help="to the same network of the supervised baseline"),
    )  # fmt: skip


def _sense(name: str) -> str:
    return " (lower is better)" if REGISTRY.load(name).lower_is_better else ""
