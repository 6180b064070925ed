"""The paragraph that answers the question: who leads, by how much, how sure, at what cost, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semiseg.report import names
from semiseg.report.cells import BASELINE
from semiseg.report.run_health import BANNER
from semiseg.report.table import Table
from semiseg.report.tables import cost, headline

Row = Mapping[str, Any]


def answer(tables: Mapping[str, Table]) -> list[str]:
    """A sentence for each split and head, the one with most candidates first; then cost, and what is missing."""
    rows, led = headline(tables).rows, sorted(tables["leaders"].rows, key=lambda row: -row["candidates"])
    if not led:
        return ["No method can be compared with the supervised baseline yet: finish the runs listed below."]
    warned = [row["text"] for row in tables["health"].rows if row["severity"] == BANNER]
    return [*dict.fromkeys(warned), *(row["sentence"] for row in led), *_cost(led[0], rows, tables), *_caution(rows)]


def _cost(place: Row, rows: Sequence[Row], tables: Mapping[str, Table]) -> list[str]:
    """Of the top, and of the cheapest of the leading group."""
    here = [row for row in rows if all(row[key] == place[key] for key in ("split_family", "partition", "head"))]
    base = next((spent for row in here if row["role"] == BASELINE and (spent := _spent(row, tables))), None)
    leading = [(spent, row) for row in here if row["leading"] and (spent := _spent(row, tables))]
    if not base or not leading:
        return []
    spent, cheapest = min(leading, key=lambda pair: pair[0])
    time = f"{spent / 3600:.1f} h" if spent > 7200 else f"{spent / 60:.1f} min"
    device = "GPU" if all(row["gpu_seconds"] for row in tables["cost"].rows) else "CPU"
    return [
        f"The cheapest of the leading group is {names.of(cheapest)}: {time} of {device} time for a training, "
        f"{spent / base:.1f} times that of the baseline."
    ]


def _spent(row: Row, tables: Mapping[str, Table]) -> float | None:
    """Mean seconds of a training, over lists where the row is."""
    families = [
        f"{row['split_family'].partition(':')[0]}:{number}"
        for number in row["split_family"].partition(":")[2].split(",")
    ]
    same = [
        one for one in tables["cost"].rows
        if one["split_family"] in (row["split_family"], *families)
        and all(one[key] == row[key] for key in ("partition", "method", "variant", "head"))
    ]  # fmt: skip
    known = [one[cost.clock(one)] for one in same if one[cost.clock(one)]]
    return sum(known) / len(known) if known else None


def _caution(rows: Sequence[Row]) -> list[str]:
    said = []
    open_cells = [row for row in rows if row["state"] not in ("done", "not_applicable")]
    if open_cells:
        said.append(f"{len(open_cells)} of {len(rows)} cells are not finished; they are shown with their state.")
    if max((row["seeds"] for row in rows), default=0) == 1:
        said.append("One seed was run: differences as large as another seed makes cannot be told from chance here.")
    return said
