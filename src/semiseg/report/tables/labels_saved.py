"""How many labels the supervised baseline would need to reach a method's mIoU.

The estimate and its interval come from one curve: the baseline's means over the seeds that all the cells involved have
finished, interpolated in the logarithm of the number of labels. Between budgets that are further apart than a factor of
two nothing is interpolated, and where the curve does not rise nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semiseg.report import names, run_health
from semiseg.report.cells import METHOD, STRONG, Cell, partition_order
from semiseg.report.records import Records
from semiseg.report.run_health import Finding
from semiseg.report.table import LISTED, Table, View

NEAR = 2.0  # the largest ratio of neighbouring budgets between which the curve is taken for a straight line
STEPS = 30  # points between two neighbouring budgets at which the interval's test is inverted
COLUMNS = (
    "dataset", "split_family", "split_sha256", "partition", "labelled", "method", "variant", "network", "head",
    "miou_last_mean", "status", "labels_needed", "labels_needed_low", "labels_needed_high", "labels_saved", "factor",
    "covers", "needed_text", "reason",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("n labelled", ("labelled",), "number", 0),
    View("Method", ("method", "variant"), "label"),
    View("Network", ("network",)),
    View("mIoU last", ("miou_last_mean",), "number"),
    View("Supervised needs", ("needed_text",), help="labels at which supervised has this mIoU, with a 95 % interval"),
    View("Saved", ("labels_saved",), "number", 0),
    View("Times as many", ("factor",), "number", 1),
    View("covers", ("covers",)),
    LISTED,
)  # fmt: skip


def build(records: Records, findings: Sequence[Finding]) -> Table:
    rows = []
    for curve in run_health.supervised_curves(records):
        for cell in records.cells():
            if cell.role in (METHOD, STRONG) and cell.finished and _belongs(cell, curve):
                rows.append(_row(records, cell, curve, [one for one in findings if one.cell in curve]))
    rows.sort(key=lambda row: (row["dataset"], str(row["split_family"]), partition_order(row), names.rank(row)))
    return Table(
        "labels_saved",
        "Labels saved",
        "Labels at which the supervised baseline reaches a method's mIoU. Between neighbouring budgets within a factor "
        f"of {NEAR:g} the curve is a straight line over the logarithm of their size; elsewhere nothing is estimated.",
        COLUMNS,
        VIEWS,
        tuple(rows),
        "The interval holds every number of labels at which supervised does not differ significantly from the method. "
        "The figure depends on which images were labelled for each budget; the interval does not cover that. Nothing "
        "is estimated where more labels do not help supervised, or where its mIoU still rises at the end of training.",
    )


def _belongs(cell: Cell, curve: Sequence[Cell]) -> bool:
    """Is the cell's own baseline a point of the curve?"""
    return len(curve) > 1 and any(other.setting == cell.setting for other in curve)


def _row(records: Records, cell: Cell, curve: Sequence[Cell], findings: Sequence[Finding]) -> dict[str, Any]:
    row = dict.fromkeys(COLUMNS) | {key: cell.row.get(key) for key in COLUMNS if key in cell.row}
    row["reason"] = None
    drawn = records.in_common([cell, *curve], cell.network)
    if not drawn:
        return row | {"status": "withheld", "reason": "no seed is finished for all budgets"}
    target = _mean(cell, cell.network, drawn)
    heights = np.array([_mean(one, cell.network, drawn) for one in curve])
    row["miou_last_mean"] = target
    flat = np.flatnonzero(np.diff(heights) <= 0)
    if len(flat):
        few, many = curve[flat[0]].labelled, curve[flat[0] + 1].labelled
        reason = f"supervised is no better with {many} labels than with {few}"
        return row | {"status": "withheld", "needed_text": "withheld", "reason": reason}
    line = Line(np.array([one.labelled for one in curve], dtype=float), heights)
    needed = line.reach(target)
    rising = [one for one in findings if one.severity == run_health.BANNER or one.kind == run_health.UNCLEAR]
    if needed.labels is not None and rising:
        return row | {"status": "withheld", "needed_text": "withheld", "reason": rising[0].text}
    low, high, covers = _interval(records, cell, curve, line)
    row |= {"status": needed.status, "covers": covers, "labels_needed": needed.labels, "needed_text": needed.text}
    if needed.labels is not None:
        row |= {
            "labels_needed_low": low, "labels_needed_high": high, "labels_saved": needed.labels - cell.labelled,
            "factor": needed.labels / cell.labelled, "needed_text": needed.text + _range(low, high, covers),
        }  # fmt: skip
    return row


def _mean(cell: Cell, network: str, drawn: Sequence[Any]) -> float:
    return float(np.mean([run.miou("last", network) for run in cell.finished if run.drawn in drawn]))


@dataclass(frozen=True)
class Needed:
    status: str  # estimated, not_estimated, above or below
    text: str
    labels: float | None = None


@dataclass(frozen=True)
class Line:
    """A rising curve of mIoU over the number of labels."""

    labels: np.ndarray
    heights: np.ndarray

    def reach(self, target: float) -> Needed:
        first, last = self.labels[[0, -1]]
        if target > self.heights[-1]:
            return Needed("above", f"more than {last:.0f}")
        if target < self.heights[0]:
            return Needed("below", f"fewer than {first:.0f}")
        right = max(1, int(np.searchsorted(self.heights, target)))
        few, many = self.labels[right - 1], self.labels[right]
        if many / few > NEAR and target not in self.heights:
            return Needed("not_estimated", f"between {few:.0f} and {many:.0f}: not estimated")
        needed = float(np.exp(np.interp(target, self.heights, np.log(self.labels))))
        return Needed("estimated", f"{needed:.0f}", needed)

    def segments(self) -> list[tuple[int, np.ndarray]]:
        """Of each pair of neighbours: the right one's place, and shares of the way to it."""
        return [(right, np.linspace(0, 1, STEPS)) for right in range(1, len(self.labels))]

    def at(self, right: int, share: float) -> float:
        few, many = np.log(self.labels[[right - 1, right]])
        return float(np.exp(few + share * (many - few)))


def _interval(
    records: Records, cell: Cell, curve: Sequence[Cell], line: Line
) -> tuple[float | None, float | None, str | None]:
    """Inversion of the test: every number of labels whose baseline does not differ significantly.

    Where budgets are too far apart to be interpolated, the whole way between them counts as soon as a part of it does.
    None as a limit says that the interval goes on beyond the measured budgets.
    """
    accepted: list[float] = []
    covers = None
    for right, shares in line.segments():
        held = []
        for share in shares:
            terms = [(1.0, cell), (-(1 - share), curve[right - 1]), (-share, curve[right])]
            interval = records.contrast([term for term in terms if term[0]], cell.network)
            if interval is None or interval.low is None:
                return None, None, None
            covers = interval.covers
            if interval.low <= 0 <= interval.high:
                held.append(line.at(right, share))
        if held and line.labels[right] / line.labels[right - 1] > NEAR:
            held = [line.labels[right - 1], line.labels[right]]
        accepted += held
    if not accepted:
        return None, None, covers
    low = None if np.isclose(min(accepted), line.labels[0]) else float(min(accepted))
    high = None if np.isclose(max(accepted), line.labels[-1]) else float(max(accepted))
    return low, high, covers


def _range(low: float | None, high: float | None, covers: str | None) -> str:
    if covers is None or (low is None and high is None):
        return ""
    if low is None:
        return f" [up to {high:.0f}]"
    return f" [{low:.0f} or more]" if high is None else f" [{low:.0f}, {high:.0f}]"
