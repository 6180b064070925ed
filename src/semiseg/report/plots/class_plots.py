"""Plots by class: IoU, differences in IoU, and confusion matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from semiseg.report import names
from semiseg.report.cells import BASELINE, METHOD, Cell
from semiseg.report.plots import frames
from semiseg.report.records import Records
from semiseg.report.table import Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


def class_differences(records: Records, tables: dict[str, Table]) -> Figure | None:
    """A row for each method of the split and head with most methods, the largest gain in mIoU first."""
    import matplotlib.pyplot as plt
    import seaborn

    rows = differences_in_focus(records, tables)
    if not rows:
        return None
    classes = list(dict.fromkeys(row["class"] for row in rows))
    known = {(names.of(row), row["class"]): row for row in rows}
    labels = list(dict.fromkeys(label for label, _ in known))
    values = np.array(
        [[known.get((label, name), {}).get("difference", np.nan) for name in classes] for label in labels]
    )
    order = np.argsort(-np.nanmean(values, axis=1), kind="stable")
    few, most = len(classes) <= ANNOTATED, float(np.nanmax(np.abs(values)))
    figure, axes = plt.subplots(figsize=(2.8 + (0.78 if few else 0.4) * len(classes), 1.6 + 0.42 * len(labels)))
    seaborn.heatmap(
        values[order], ax=axes, vmin=-most, vmax=most, cmap="PuOr_r", xticklabels=_plain(classes),
        yticklabels=[labels[place] for place in order], cbar_kws={"label": "IoU minus supervised (points)"},
    )  # fmt: skip
    for place, label in enumerate(labels[place] for place in order):
        for column, name in enumerate(classes):
            _difference(axes, column + 0.5, place + 0.5, known.get((label, name)), few, most)
    axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="y", rotation=0)
    return figure


def differences_in_focus(records: Records, tables: dict[str, Table]) -> list[Row]:
    """Rows of the table of classes at the plots' number of labels, of the list and head that most of them have."""
    focus = frames.focus(records)
    rows = [row for row in tables["classes"].rows if focus and str(row["partition"]) == str(focus[0].partition)]
    count = Counter((row["split_family"], row["head"]) for row in rows)
    return [row for row in rows if (row["split_family"], row["head"]) == count.most_common(1)[0][0]]


def _difference(axes: Axes, x: float, y: float, row: Row | None, few: bool, most: float) -> None:
    if row is None:
        return
    look = {"ha": "center", "va": "center", "color": "white" if abs(row["difference"]) > 0.65 * most else "black"}
    if few:
        half = "" if row["ci_low"] is None else f"\n±{(row['ci_high'] - row['ci_low']) / 2:.1f}"
        weight = "bold" if row["separated"] else "normal"
        axes.text(x, y, f"{row['difference']:+.1f}{half}", weight=weight, fontsize="x-small", **look)
    elif row["separated"]:
        axes.text(x, y, "•", **look)


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
    """The baseline, and the best method with its head."""
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
