"""A difference with its interval, drawn inside its table cell: all rows of a table have one scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from semiseg.report.table import View

WIDTH, HEIGHT, MARGIN, LEVEL = 150, 14, 5, 0.05
Row = Mapping[str, Any]


def scale(view: View, rows: Iterable[Row]) -> tuple[float, float] | None:
    """From the lowest to the highest limit, zero included; None where a column has no interval."""
    if view.kind != "interval" or len(view.keys) < 3:
        return None
    known = [value for row in rows if row.get(view.keys[1]) is not None for value in _values(view, row)]
    return (min(0.0, *known), max(0.0, *known)) if known else None


def draw(view: View, row: Row, limits: tuple[float, float] | None, sure: bool) -> Markup:
    """The text beside it has the same figures, for readers who do not see the drawing."""
    if limits is None or not view.of(row) or limits[0] == limits[1]:
        return Markup("")
    estimate, *ends = _values(view, row)
    middle = HEIGHT / 2

    def across(value: float) -> str:
        share = (value - limits[0]) / (limits[1] - limits[0])
        return f"{MARGIN + share * (WIDTH - 2 * MARGIN):.1f}"

    parts = [f'<svg class="bar" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">']
    parts.append(f'<path class="zero" d="M{across(0.0)},0V{HEIGHT}"/>')
    if ends:
        parts.append(f'<path class="range" d="M{across(ends[0])},{middle}H{across(ends[1])}"/>')
    parts.append(
        f'<circle class="{"sure" if sure else "unsure"}" cx="{across(estimate)}" cy="{middle}" r="3.5"/></svg>'
    )
    return Markup("".join(parts))


def sure(row: Row) -> bool:
    """Is the difference significant after Holm's correction?"""
    p = row.get("delta_p_holm", row.get("p_holm"))
    return p is not None and p < LEVEL


def _values(view: View, row: Row) -> list[float]:
    return [float(row[key]) for key in view.keys if row.get(key) is not None]
