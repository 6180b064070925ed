"""The page of tables: which tables belong together, and all pairs as a matrix for each split and head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semiseg.report import names
from semiseg.report.cells import SUPERVISED, partition_order
from semiseg.report.table import Table, View

ABLATION = "ablation_"
COSTS = ("cost", "tuning")
DIFFERENCE = View("Difference", ("difference", "ci_low", "ci_high"), "interval")


def grouped(tables: Mapping[str, Table]) -> dict[str, list[Table]]:
    """The comparison and what belongs to it, the ablations by method, the costs."""
    found: dict[str, list[Table]] = {"Comparison": []}
    for table in tables.values():
        if table.name.startswith(ABLATION):
            found.setdefault(f"Ablations of {_ablated(table)}", []).append(table)
        elif table.name not in COSTS:
            found["Comparison"].append(table)
    costs = [tables[name] for name in COSTS if name in tables]
    return found | ({"Costs": costs} if costs else {})


def _ablated(table: Table) -> str:
    of = dict.fromkeys(row["method"] for row in table.rows if row["method"] != SUPERVISED)
    return " and ".join(map(names.title, of)) or names.title(SUPERVISED)


@dataclass(frozen=True)
class Matrix:
    """Row minus column; `cells` by (row, column): text, p value in words, and +1, -1 or, if not significant, 0."""

    title: str
    labels: list[str]
    cells: dict[tuple[str, str], tuple[str, str, int]]


def matrices(pairs: Table) -> list[Matrix]:
    """The best cell first, so that the leading group is in the upper rows."""
    places: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in sorted(pairs.rows, key=partition_order):
        places.setdefault((row["split_family"], row["partition"], row["head"]), []).append(row)
    several = len({family for family, _, _ in places}) > 1
    return [
        Matrix(f"{partition} labels, {head} head" + (f", {family}" if several else ""), *_matrix(rows))
        for (family, partition, head), rows in places.items()
    ]


def _matrix(rows: list[Mapping[str, Any]]) -> tuple[list[str], dict[tuple[str, str], tuple[str, str, int]]]:
    labels = list(dict.fromkeys([row["label_a"] for row in rows] + [row["label_b"] for row in rows]))
    cells = {}
    for row in rows:
        for sign, key in ((1, (row["label_a"], row["label_b"])), (-1, (row["label_b"], row["label_a"]))):
            cells[key] = _cell(row, sign)
    return labels, cells


def _cell(row: Mapping[str, Any], sign: int) -> tuple[str, str, int]:
    if row["difference"] is None:
        return "", "", 0
    low, high = (row["ci_low"], row["ci_high"]) if sign > 0 else (row["ci_high"], row["ci_low"])
    known = [value if value is None else sign * value for value in (row["difference"], low, high)]
    text = DIFFERENCE.text(dict(zip(DIFFERENCE.keys, known, strict=True)))
    p = View("p", ("p_holm",), "p").text(row)
    apart = bool(row["separated"])
    return (
        text,
        f"p {p} after Holm's correction" if row["p_holm"] is not None else "no p value",
        ((1 if known[0] > 0 else -1) if apart else 0),
    )
