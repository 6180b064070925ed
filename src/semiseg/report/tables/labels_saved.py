"""How many labels the supervised baseline would need to reach a method's mIoU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from semiseg.report import names
from semiseg.report.records import Cell, Records, is_baseline, partition_order
from semiseg.report.table import LISTED, Table, View

SHARED = ("dataset", "head", "encoder", "output_stride", "crop", "iterations")
STEPS = 60  # points at which the interval's test is inverted between the smallest and the largest partition
COLUMNS = (
    "dataset", "split_family", "split_sha256", "partition", "labelled", "method", "variant", "network", "head",
    "miou_last_mean", "labels_needed", "labels_needed_low", "labels_needed_high", "labels_saved",
    "factor", "covers", "bounds",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("n labelled", ("labelled",), "number", 0),
    View("Method", ("method",)),
    View("Variant", ("variant",)),
    View("Network", ("network",)),
    View("mIoU last", ("miou_last_mean",), "number"),
    View(
        "Supervised needs",
        ("needed_text",),
        help="labels at which the supervised curve reaches this mIoU, 95 % interval",
    ),
    View("Saved", ("labels_saved",), "number", 0),
    View("Times as many", ("factor",), "number", 1),
    View("covers", ("covers",)),
    LISTED,
)


def build(records: Records) -> Table:
    rows = []
    groups = defaultdict(list)
    for cell in records.cells():
        if cell.finished and cell.labelled:
            groups[tuple(str(getattr(cell, name)) for name in SHARED)].append(cell)
    for cells in groups.values():
        curve = [cell for cell in cells if is_baseline(cell)]
        for cell in cells:
            if not is_baseline(cell) and len(curve) > 1:
                rows.append(_row(records, cell, curve))
    rows.sort(key=lambda row: (row["dataset"], partition_order(row), names.rank(row)))
    return Table(
        "labels_saved",
        "Labels saved",
        "Labels at which the supervised baseline reaches a method's mIoU: monotone interpolation between partitions in "
        "the logarithm of their size; the interval holds every number of labels whose interpolated mIoU does not "
        "differ significantly from the method's.",
        COLUMNS,
        VIEWS,
        tuple(rows),
        "“≥” and “≤” where the interval leaves the measured range. Partitions of one family are compared here, "
        "so the choice of their images is part of the figure and not of its interval.",
    )


def _row(records: Records, cell: Cell, supervised: Sequence[Cell]) -> dict[str, Any]:
    family = [other for other in supervised if other.split_family == cell.split_family or other.partition == "full"]
    family = sorted(family, key=lambda other: other.labelled)
    mean = float(np.mean(cell.values()))
    row = {key: cell.row.get(key) for key in COLUMNS} | {"miou_last_mean": mean}
    row["needed_text"] = None
    if len(family) < 2:
        return row
    labels = np.array([other.labelled for other in family], dtype=float)
    from scipy.optimize import isotonic_regression  # takes a third of a second to import

    heights = isotonic_regression([np.mean(other.values("last", cell.network)) for other in family]).x
    needed, bound = invert(mean, labels, heights)
    low, high, covers = _interval(records, cell, family, labels)
    row |= {
        "labels_needed": needed,
        "labels_needed_low": low,
        "labels_needed_high": high,
        "covers": covers,
        "bounds": bound,
    }
    if not bound:
        row |= {"labels_saved": needed - cell.labelled, "factor": needed / cell.labelled}
    row["needed_text"] = f"{bound}{needed:.0f}" + _range(low, high, covers)
    return row


def invert(target: float, labels: np.ndarray, heights: np.ndarray) -> tuple[float, str]:
    """Labels at which the curve reaches the target, and "≥" or "≤" where that lies outside what was measured."""
    if target > heights[-1]:
        return float(labels[-1]), "≥ "
    if target < heights[0]:
        return float(labels[0]), "≤ "
    rising = np.concatenate([[True], np.diff(heights) > 0])  # a plateau is reached at its first partition
    return float(np.exp(np.interp(target, heights[rising], np.log(labels[rising])))), ""


def _interval(
    records: Records, cell: Cell, family: Sequence[Cell], labels: np.ndarray
) -> tuple[float | None, float | None, str | None]:
    """Inversion of the test: every number of labels whose interpolated baseline does not differ significantly.

    None as a limit says that the interval goes on beyond the measured partitions.
    """
    accepted, covers = [], None
    positions = np.linspace(np.log(labels[0]), np.log(labels[-1]), STEPS)
    for position in positions:
        right = int(np.clip(np.searchsorted(np.log(labels), position), 1, len(labels) - 1))
        share = (position - np.log(labels[right - 1])) / (np.log(labels[right]) - np.log(labels[right - 1]))
        terms = [(1.0, cell), (-(1 - share), family[right - 1]), (-share, family[right])]
        interval = records.contrast(terms, cell.network)
        if interval is None or not np.isfinite(interval.error):
            return None, None, None
        covers = interval.covers
        if interval.low <= 0 <= interval.high:
            accepted.append(position)
    if not accepted:
        return None, None, covers
    low = None if accepted[0] == positions[0] else float(np.exp(accepted[0]))
    high = None if accepted[-1] == positions[-1] else float(np.exp(accepted[-1]))
    return low, high, covers


def _range(low: float | None, high: float | None, covers: str | None) -> str:
    if covers is None or (low is None and high is None):
        return ""
    if low is None:
        return f" [≤ {high:.0f}]"
    return f" [≥ {low:.0f}]" if high is None else f" [{low:.0f}, {high:.0f}]"
