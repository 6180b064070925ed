"""Pseudo-labels at the end of the training: their share and accuracy, near borders, inside, and by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semiseg.report import names, statistics
from semiseg.report.cells import COMPARISON, CONTROL, FULL, SUPERVISED, Cell, mean_sd, partition_order
from semiseg.report.records import Records
from semiseg.report.table import LISTED, Table, View

PLACE = ("dataset", "split_family", "split_sha256", "partition", "labelled", "method", "variant", "head")
KEYS = {
    "confident_share": ("Selected %", "share of the pixels that the method learns from"),
    "pseudo_accuracy": ("Right %", "of the selected pixels, those whose pseudo-label is the hidden label"),
    "near_borders": ("Near borders", "the same within 1 % of the diagonal of a border between classes"),
    "inside": ("Inside", "the same elsewhere"),
}
SELECTED = ("confident_share", "pseudo_accuracy")
FIGURES = ("mean", "sd", "ci_low", "ci_high")


def build(records: Records) -> Table | None:
    """Of the comparison and of the ablations, each cell once; None where no run has diagnostics."""
    seen: dict[tuple[Any, ...], Cell] = {}
    for kind in (COMPARISON, *records.ablations):
        for cell in records.cells(kind):
            if cell.role != CONTROL and cell.method != SUPERVISED and _last(cell):
                seen.setdefault(tuple(run.run for run in cell.runs), cell)
    if not seen:
        return None
    classes = next(iter(seen.values())).finished[0].eval["classes"]
    rows = [_row(cell, classes) for cell in seen.values()]
    rows.sort(key=lambda row: (row["dataset"], row["partition"] == FULL, str(row["split_family"]),
                               partition_order(row), names.rank(row), str(row["head"])))  # fmt: skip
    shown = [key for key in (*KEYS, *classes) if any(row[f"{key}_mean"] is not None for row in rows)]
    return Table(
        "pseudo_labels", "Pseudo-labels",
        "At the last evaluation, in percent, with 95 % intervals over seeds, judged by the hidden labels, which serve "
        "this diagnosis only.",
        (*PLACE, "seeds", *(f"{key}_{figure}" for key in shown for figure in FIGURES)),
        (View("Labels", ("partition",)), View("Method", ("method", "variant"), "label"),
         *(view(key) for key in shown), View("Seeds", ("seeds",), "number", 0), LISTED),
        tuple(rows),
        "By class: of the pixels that are given a class, the share that has it. Empty where nothing was selected.",
    )  # fmt: skip


def _last(cell: Cell) -> list[dict[str, Any]]:
    return [run.stored.diagnostics[-1] for run in cell.finished if run.stored and run.stored.diagnostics]


def _row(cell: Cell, classes: Sequence[str]) -> dict[str, Any]:
    found = _last(cell)
    row = {key: cell.row.get(key) for key in PLACE} | {"seeds": len(found)}
    for key in KEYS:
        row |= _figures(key, [line.get(key) for line in found])
    for place, name in enumerate(classes):
        row |= _figures(name, [line["by_class"][place] if line.get("by_class") else None for line in found])
    return row


def selected(cell: Cell) -> dict[str, Any]:
    """Share of the selected pixels and their accuracy, for a table of another subject."""
    found, row = _last(cell), {}
    for key in SELECTED:
        row |= _figures(key, [line.get(key) for line in found])
    return row


def _figures(key: str, values: Sequence[float | None]) -> dict[str, float | None]:
    known = [100 * value for value in values if value is not None]
    mean, sd = mean_sd(known)
    over = statistics.over_seeds(known)
    limits = (max(0.0, over.low), min(100.0, over.high)) if over else (None, None)  # shares lie between
    return dict(zip((f"{key}_{figure}" for figure in FIGURES), (mean, sd, *limits), strict=True))


def view(key: str) -> View:
    title, text = KEYS.get(key, (key, "right, of the pixels that are given this class"))
    return View(title, (f"{key}_mean", f"{key}_ci_low", f"{key}_ci_high"), "figure", 1, text)
