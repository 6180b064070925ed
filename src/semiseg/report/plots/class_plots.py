"""Plots by class: IoU heat map and confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from semiseg.report import names
from semiseg.report.cells import BASELINE, METHOD, Cell
from semiseg.report.plots import frames
from semiseg.report.records import Records
from semiseg.report.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ANNOTATED = 12  # up to so many classes the cells carry their figure


def class_iou(records: Records, tables: dict[str, Table]) -> Figure | None:
    import matplotlib.pyplot as plt
    import seaborn

    cells = frames.focus(records)
    if not cells:
        return None
    classes = cells[0].finished[0].eval["classes"]
    per_class = [[run.rule("last")["per_class"] for run in cell.finished] for cell in cells]
    values = np.array([np.mean(np.array(runs, dtype=float), axis=0) for runs in per_class])  # null becomes NaN
    low, high = 10 * np.floor(np.nanmin(values) / 10), 10 * np.ceil(np.nanmax(values) / 10)
    figure, axes = plt.subplots(figsize=(2.6 + 0.52 * len(classes), 1.5 + 0.36 * len(cells)))
    seaborn.heatmap(
        values, ax=axes, vmin=low, vmax=high, cmap="cividis", annot=len(classes) <= ANNOTATED, fmt=".0f",
        xticklabels=_plain(classes), yticklabels=[names.of(cell) for cell in cells], cbar_kws={"label": "IoU (%)"},
    )  # fmt: skip
    axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="y", rotation=0)
    return figure


def confusion(records: Records, tables: dict[str, Table]) -> Figure | None:
    import matplotlib.pyplot as plt
    import seaborn

    shown = [(cell, matrix) for cell in _compared(frames.focus(records)) if (matrix := _matrix(cell)) is not None]
    if not shown:
        return None
    classes = shown[0][0].finished[0].eval["classes"]
    side = 1.8 + 0.42 * len(classes)
    figure, panels = plt.subplots(1, len(shown), figsize=(side * len(shown), side), squeeze=False)
    for axes, (cell, matrix) in zip(panels[0], shown, strict=True):
        share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        seaborn.heatmap(
            share, ax=axes, vmin=0, vmax=100, cmap="cividis", annot=len(classes) <= ANNOTATED, fmt=".0f", square=True,
            xticklabels=_plain(classes), yticklabels=_plain(classes), cbar=False, annot_kws={"size": "x-small"},
        )  # fmt: skip
        axes.set(title=names.of(cell), xlabel="predicted", ylabel="true")
        axes.tick_params(axis="x", rotation=60)
        axes.tick_params(axis="y", rotation=0)
    return figure


def _compared(cells: Sequence[Cell]) -> list[Cell]:
    """The baseline, and the best method with its head: the one that the leading group starts with, if any leads it."""
    baseline = [cell for cell in cells if cell.role == BASELINE][:1]
    methods = [cell for cell in cells if cell.role == METHOD and all(cell.head == one.head for one in baseline)]
    return baseline + sorted(methods, key=lambda cell: -cell.mean())[:1]


def _matrix(cell: Cell) -> np.ndarray | None:
    """Of the first finished seed, over all images."""
    matrices = cell.finished[0].counts("confusion")
    return None if matrices is None else matrices.sum(0).astype(float)


def _plain(classes: list[str]) -> list[str]:
    """A dollar sign in a class name would start a formula."""
    return [name.replace("$", r"\$") for name in classes]
