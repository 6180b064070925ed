"""Which classes a method gains on: IoU of each class minus that of the supervised baseline, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from semiseg.report import names, statistics
from semiseg.report.cells import BASELINE, CONTROL, FULL, SETTING, Cell, partition_order
from semiseg.report.records import Records, of_class
from semiseg.report.table import LISTED, Table, View
from semiseg.report.tables.pairs import LEVEL

PLACE = ("dataset", "split_family", "split_sha256", "partition", "labelled", "method", "variant", "network", "head")
COLUMNS = (
    *PLACE, "class", "iou_mean", "baseline_iou_mean", "difference", "ci_low", "ci_high", "covers", "p", "p_holm",
    "separated",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("Method", ("method", "variant"), "label"),
    View("Network", ("network",)),
    View("Class", ("class",)),
    View("IoU", ("iou_mean",), "number"),
    View(
        "Baseline", ("baseline_iou_mean",), "number", help="supervised, same network and head, over the same trainings"
    ),
    View("Difference", ("difference", "ci_low", "ci_high"), "interval"),
    View("covers", ("covers",)),
    View("p (Holm)", ("p_holm",), "p"),
    LISTED,
)


def build(records: Records) -> Table:
    """From the records over lists, where a study has several lists."""
    rows = [row for cell in records.cells() for row in _rows(records, cell)]
    blocks: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        blocks.setdefault(row.pop("block"), []).append(row)
    for block in blocks.values():
        _correct(block)
    rows.sort(key=lambda row: (row["dataset"], row["partition"] == FULL, str(row["split_family"]),
                               partition_order(row), names.rank(row), str(row["head"])))  # fmt: skip
    return Table(
        "classes", "Differences by class",
        "IoU in percent of each class after the last iteration, and the difference to the same network of the "
        "supervised baseline, with its 95 % interval.",
        COLUMNS, VIEWS, tuple(rows),
        "Corrected by Holm over all methods and classes of a split and head. Intervals cover what those of the "
        "comparison cover. A class that neither image nor prediction shows has no IoU and no row."
        if rows else "No cell can be compared with a supervised baseline.",
    )  # fmt: skip


def _rows(records: Records, cell: Cell) -> Iterator[dict[str, Any]]:
    baseline = records.baseline(cell)
    if cell.role in (CONTROL, BASELINE) or baseline is None or not cell.finished:
        return
    for number, name in enumerate(cell.finished[0].eval["classes"]):
        metric = of_class(number)
        interval = records.difference(cell, baseline, metric=metric)
        if interval is None:
            continue
        drawn = records.in_common((cell, baseline), cell.network, metric)
        ours, theirs = (
            float(np.mean([records.value(run, cell.network, metric) for run in one.finished if run.drawn in drawn]))
            for one in (cell, baseline)
        )
        yield {key: cell.row.get(key) for key in PLACE} | {
            "block": tuple(str(cell.row.get(key)) for key in SETTING),
            "class": name, "iou_mean": ours, "baseline_iou_mean": theirs, "difference": interval.estimate,
            "ci_low": interval.low, "ci_high": interval.high, "covers": interval.covers, "p": interval.p,
        }  # fmt: skip


def _correct(rows: list[dict[str, Any]]) -> None:
    adjusted = iter(statistics.holm([row["p"] for row in rows if row["p"] is not None]))
    for row in rows:
        row["p_holm"] = None if row["p"] is None else next(adjusted)
        row["separated"] = None if row["p"] is None else row["p_holm"] < LEVEL
