"""The first page: for each number of labels an answer in the order of a reader's questions, two figures and a table."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semiseg.report import control_figures, names
from semiseg.report.cells import FULL, partition_order
from semiseg.report.html import answer
from semiseg.report.table import Table, View
from semiseg.report.tables import headline
from semiseg.report.tables.cost import spent

Row = Mapping[str, Any]
VIEWS = (
    View("Method", ("label",)),
    View("mIoU", ("miou_last_mean", "miou_last_sd"), "mean_sd", bold=True, help="after the last iteration"),
    View("Baseline", ("baseline_miou_last_mean", "baseline_network"), "figure_of",
         help="supervised, same network and head, mean over the same seeds: what the difference is taken to"),
    View("Δ supervised", ("delta_vs_supervised", "delta_ci_low", "delta_ci_high"), "interval",
         help="with its 95 % interval; filled: significant after Holm's correction"),
    View("Better in", ("delta_above", "delta_seeds"), "share", help="trainings above the baseline's, of all"),
    View("p (Holm)", ("delta_p_holm",), "p", help="corrected for all differences of the suite; none with one seed"),
    View("Minutes", ("minutes",), "number", 1, help="of a run and those that it needs, on the GPU or else the CPU"),
)  # fmt: skip
# Facts that are said once, where all rows of a table agree in them.
SHARED = ("Head", "Network", "Seeds", "covers", "Lists", "sha256")


@dataclass(frozen=True)
class Block:
    """One table: the finished cells of one split and head, by gain."""

    head: str
    table: Table
    shared: list[tuple[str, str]]


@dataclass(frozen=True)
class Place:
    """One draw of labelled images, or all draws of one size: a tab of the page."""

    slug: str
    title: str
    points: list[tuple[str, list[str]]]
    blocks: list[Block]
    absent: list[tuple[str, list[str]]]  # state -> labels of the cells without a figure
    controls: Table | None

    @property
    def rows(self) -> Sequence[Row]:
        """Of the head with most candidates, which the figures show."""
        return self.blocks[0].table.rows if self.blocks else ()

    @property
    def compared(self) -> list[Row]:
        return [row for row in self.rows if row["delta_vs_supervised"] is not None]


def places(tables: Mapping[str, Table]) -> list[Place]:
    """By number of labels; all labels last."""
    comparison = headline(tables)
    rows = [row | {"label": names.of(dict(row)), **_spent(row, tables)} for row in comparison.rows]
    by_place: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["partition"] == FULL, partition_order(row), str(row["split_family"]))):
        by_place.setdefault((row["split_family"], str(row["partition"])), []).append(row)
    sizes = [partition for _, partition in by_place]
    controls = {(row["split_family"], str(row["partition"])): table for row, table in control_figures.places(tables)}
    return [
        _place(family, partition, here, tables, comparison, controls, sizes.count(partition) > 1)
        for (family, partition), here in by_place.items()
    ]


def _place(
    family: str,
    partition: str,
    rows: Sequence[Row],
    tables: Mapping[str, Table],
    comparison: Table,
    controls: Mapping[tuple[str, str], Table],
    several: bool,
) -> Place:
    labelled = next((row["labelled"] for row in rows if row["labelled"]), None)
    title = "All labels" if partition == FULL else f"{labelled:,} labels" if labelled else f"{partition} of the labels"
    heads: dict[str, list[Row]] = {}
    absent: dict[str, list[str]] = {}
    for row in rows:
        if row["miou_last_mean"] is not None:
            heads.setdefault(row["head"], []).append(row)
        else:
            absent.setdefault(row["state"], []).append(row["label"])
    ordered = sorted(heads.items(), key=lambda pair: -len(pair[1]))
    return Place(
        re.sub(r"\W+", "-", f"{partition}-{family}" if several else partition),
        f"{title} ({family})" if several and partition != FULL else title,
        answer.points(rows, tables),
        [_block(head, here, comparison, f"{partition}_{family}_{head}") for head, here in ordered],
        sorted(absent.items()),
        controls.get((family, partition)),
    )


def _block(head: str, rows: Sequence[Row], comparison: Table, name: str) -> Block:
    rows = sorted(rows, key=_by_gain)
    views = {view.title: view for view in comparison.views}
    shared = [(title, text) for title in SHARED if (text := _same(views.get(title), rows))]
    shown = tuple(view for view in VIEWS if any(view.of(row) for row in rows))
    table = dataclasses.replace(
        comparison, name=re.sub(r"\W+", "-", name), title=f"{head} head", caption="", note="", views=shown,
        rows=tuple(rows),
    )  # fmt: skip
    return Block(head, table, shared)


def _by_gain(row: Row) -> tuple[Any, ...]:
    """The baseline stands where its own gain is: at zero."""
    return (-(row["delta_vs_supervised"] or 0.0), names.rank(dict(row)))


def _same(view: View | None, rows: Iterable[Row]) -> str:
    texts = {view.text(row) for row in rows if view.of(row)} if view else set()
    return texts.pop() if len(texts) == 1 else ""


def _spent(row: Row, tables: Mapping[str, Table]) -> dict[str, float | None]:
    seconds = spent(row, tables["cost"])
    return {"seconds": seconds, "minutes": seconds / 60 if seconds else None}
