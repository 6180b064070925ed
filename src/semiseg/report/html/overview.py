"""The overview's table: the comparison in fewer columns, with each cell's cost beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from semiseg.report import names
from semiseg.report.cells import COMPARISON
from semiseg.report.table import Table, View
from semiseg.report.tables.cost import clock

SHOWN = (
    "Labels",
    "Network",
    "mIoU last",
    "Δ supervised",
    "covers",
    "p (Holm)",
    "mIoU best (selected)",
    "Seeds",
    "State",
)
METHOD = View("Method", ("label",))
COST = (
    View(
        "Minutes",
        ("minutes",),
        "number",
        1,
        help="of one training, on the GPU where there is one, on the CPU otherwise",
    ),
    View("Peak MiB", ("peak_memory_mib",), "number", 0, help="largest of the runs"),
    View("Energy kJ", ("energy_kilojoules",), "number", 1, help="where the machine tells"),
)


def build(tables: Mapping[str, Table]) -> Table:
    comparison, cost = tables["comparison"], tables["cost"]
    spent = {_key(row): row for row in cost.rows if row["kind"] == COMPARISON}
    rows = []
    for row in comparison.rows:
        paid = spent.get(_key(row), {})
        seconds = paid[clock(paid)] if paid else None
        rows.append({
            **row, "label": names.of(dict(row)), "minutes": seconds / 60 if seconds else None,
            "peak_memory_mib": paid.get("peak_memory_mib"), "energy_kilojoules": paid.get("energy_kilojoules"),
        })  # fmt: skip
    kept = [view for view in comparison.views if view.title in SHOWN]
    costs = [view for view in COST if any(row[view.keys[0]] is not None for row in rows)]
    views = (kept[0], METHOD, *kept[1:-1], *costs, kept[-1])
    return dataclasses.replace(comparison, views=views, rows=tuple(rows))


def _key(row: Mapping) -> tuple:
    return tuple(str(row.get(key)) for key in ("split_family", "partition", "method", "variant"))
