"""All pairs of cells within one split and head: which of them differ significantly, after Holm's correction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from semiseg.report import names, statistics
from semiseg.report.cells import CONTROL, Cell, partition_order
from semiseg.report.records import Records
from semiseg.report.table import LISTED, Table, View

LEVEL = 0.05
PLACE = ("dataset", "split_family", "split_sha256", "partition", "labelled", "head")
COLUMNS = (
    *PLACE, "method_a", "variant_a", "method_b", "variant_b", "network", "difference", "ci_low", "ci_high", "covers",
    "p", "p_holm", "separated",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("Head", ("head",)),
    View("First", ("label_a",)),
    View("Second", ("label_b",)),
    View("Network", ("network",)),
    View("Difference", ("difference", "ci_low", "ci_high"), "interval"),
    View("covers", ("covers",)),
    View("p (Holm)", ("p_holm",), "p"),
    View("Separated", ("separated",)),
    LISTED,
)


@dataclass(frozen=True)
class Pair:
    """`one` has the higher mean of the two reported networks; the difference is of one network of both."""

    one: Cell
    other: Cell
    network: str
    interval: statistics.Interval | None
    p_holm: float | None = None

    @property
    def p(self) -> float | None:
        return self.interval.p if self.interval else None


@dataclass(frozen=True)
class Group:
    """The cells of one split and head that have several trainings, best first, and all their pairs."""

    ranked: tuple[Cell, ...]
    pairs: tuple[Pair, ...]

    @property
    def leading(self) -> list[Cell]:
        """The top, and all that do not differ significantly from it."""
        p_of = {(pair.one, pair.other): pair.p_holm for pair in self.pairs}
        return statistics.leading(self.ranked, lambda one, other: p_of[one, other], LEVEL)


def groups(records: Records) -> dict[tuple[str, ...], Group]:
    """By setting; only settings in which at least two cells can be compared.

    Controls are not among the candidates, nor is a second cell of the same trainings, as a tuned one at the default.
    """
    found: dict[tuple[str, ...], list[Cell]] = {}
    for cell in records.cells():
        known = found.setdefault(cell.setting, [])
        if cell.role != CONTROL and not cell.single and cell.trainings not in [one.trainings for one in known]:
            known.append(cell)
    return {setting: _group(records, cells) for setting, cells in found.items() if len(cells) > 1}


def _group(records: Records, cells: Iterable[Cell]) -> Group:
    ranked = tuple(sorted(cells, key=lambda cell: (-cell.mean(), names.rank(cell))))
    pairs = [compare(records, one, other) for place, one in enumerate(ranked) for other in ranked[place + 1 :]]
    tested = [pair.p for pair in pairs if pair.p is not None]
    adjusted = iter(statistics.holm(tested))
    return Group(ranked, tuple(pair if pair.p is None else replace(pair, p_holm=next(adjusted)) for pair in pairs))


def compare(records: Records, one: Cell, other: Cell) -> Pair:
    """Of one network of both; where they report different networks, the difference with the larger p value."""
    networks = sorted({one.network, other.network})
    pairs = [Pair(one, other, network, records.difference(one, other, network)) for network in networks]
    return max(pairs, key=lambda pair: 1.0 if pair.p is None else pair.p)


def build(found: Iterable[Group]) -> Table:
    rows = [_row(pair) for group in found for pair in group.pairs]
    rows.sort(key=lambda row: (row["dataset"], str(row["split_family"]), partition_order(row), str(row["head"])))
    return Table(
        "pairs",
        "All pairs",
        "mIoU of the first minus that of the second, within one split and head, with its 95 % interval.",
        COLUMNS,
        VIEWS,
        tuple(rows),
        "Corrected by Holm over all pairs of a split and head. Cells of one training are not compared. Where two "
        "methods report different networks, both networks are compared and the larger p value decides which is shown."
        if rows
        else "No two cells of one split and head have several trainings.",
    )


def _row(pair: Pair) -> dict[str, Any]:
    interval = pair.interval
    return {key: pair.one.row.get(key) for key in PLACE} | {
        "method_a": pair.one.method, "variant_a": pair.one.variant, "label_a": names.of(pair.one),
        "method_b": pair.other.method, "variant_b": pair.other.variant, "label_b": names.of(pair.other),
        "network": pair.network, "difference": interval and interval.estimate, "ci_low": interval and interval.low,
        "ci_high": interval and interval.high, "covers": interval and interval.covers, "p": pair.p,
        "p_holm": pair.p_holm, "separated": None if pair.p_holm is None else pair.p_holm < LEVEL,
    }  # fmt: skip
