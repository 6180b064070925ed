"""Plots whose horizontal axis is a quantity: labels, iterations, time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from semiseg.report import names
from semiseg.report.cells import Cell
from semiseg.report.plots import frames, style
from semiseg.report.records import Records
from semiseg.report.table import Table
from semiseg.report.tables.cost import clock

WINDOW = 10  # points of a loss that are averaged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame


def label_efficiency(records: Records, tables: dict[str, Table]) -> Figure | None:
    cells = frames.finished(records)
    data = frames.by_labels(cells)
    if data.empty:
        return None
    figure, axes, look = _miou_over(data, cells, "labelled", markersize=7)
    for row in tables["published"].rows:
        if row["comparable"]:
            colour = look["palette"].get(names.label(row["method"], row["variant"]), "grey")
            axes.plot(row["labelled"], row["published_miou"], "D", mfc="none", mec=colour, ms=9, zorder=5)
    axes.set_xscale("log")
    sizes = sorted(data["labelled"].unique())
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("labelled images")
    return figure


def training_curves(records: Records, tables: dict[str, Table]) -> Figure | None:
    cells = frames.focus(records)
    data = frames.curves(cells)
    if data.empty:
        return None
    figure, _, _ = _miou_over(data, cells, "iteration")
    return figure


def pseudo_labels(records: Records, tables: dict[str, Table]) -> Figure | None:
    import matplotlib.pyplot as plt
    import seaborn

    cells = frames.focus(records)
    data = frames.diagnostics(cells)
    if data.empty:
        return None
    whats = list(data["what"].unique())
    rows = -(-len(whats) // 2)
    figure, panels = plt.subplots(rows, 2, figsize=(9.2, 3.4 * rows), sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(whats) :]:
        axes.set_visible(False)
    look = style.seaborn_style(style.looks([cell for cell in cells if names.of(cell) in set(data["label"])]))
    for axes, what in zip(panels.flat, whats, strict=False):
        seaborn.lineplot(
            data[data["what"] == what], x="iteration", y="share", hue="label", style="label", errorbar="sd", ax=axes,
            legend=axes is panels[0][1] or len(whats) == 1, **look,
        )  # fmt: skip
        axes.set(xlabel="iteration", ylabel="%", title=what, ylim=(0, 102))
    _legend_outside(panels[0][min(1, len(whats) - 1)])
    return figure


def losses(records: Records, tables: dict[str, Table]) -> Figure | None:
    import matplotlib.pyplot as plt
    import seaborn

    data = frames.losses(frames.focus(records))
    if data.empty:
        return None
    labels = list(data["label"].unique())
    columns = min(3, len(labels))
    rows = -(-len(labels) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(3.4 * columns, 2.4 * rows), sharex=True, squeeze=False)
    for axes in panels.flat[len(labels) :]:
        axes.set_visible(False)
    for axes, label in zip(panels.flat, labels, strict=False):
        one = data[data["label"] == label]
        colours = seaborn.color_palette("colorblind", one["name"].nunique())
        for (name, part), colour in zip(one.groupby("name"), colours, strict=True):
            line = smoothed(part.sort_values("iteration"))
            axes.plot(line["iteration"], line["loss"], label=name, color=colour, lw=1.3)
        axes.set_title(label)
        axes.legend(fontsize="x-small")
    for axes in panels[-1]:
        axes.set_xlabel("iteration")
    return figure


def smoothed(line: DataFrame) -> DataFrame:
    """Means over whole windows, each at its middle: shorter ones at an end would draw an elbow that is not there."""
    if len(line) < WINDOW:
        return line
    return (
        line.rolling(WINDOW, center=True, on="iteration")[["loss"]].mean().assign(iteration=line["iteration"]).dropna()
    )


def cost(records: Records, tables: dict[str, Table]) -> Figure | None:
    import matplotlib.pyplot as plt

    split = frames.focus(records)
    shown = {(cell.method, cell.variant, cell.split_family, cell.partition) for cell in split}
    rows = [
        row for row in tables["cost"].rows
        if (row["method"], row["variant"], row["split_family"], row["partition"]) in shown and row["cpu_seconds"]
        and row["miou_last_mean"] is not None and row["kind"] == "comparison"
    ]  # fmt: skip
    if not rows:
        return None
    seconds = clock(*rows)
    unit, name = (3600, "hours") if max(row[seconds] for row in rows) > 7200 else (60, "minutes")
    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    for label, look in style.looks(rows).items():
        row = next(row for row in rows if names.of(row) == label)
        axes.plot(
            row[seconds] / unit, row["miou_last_mean"], look["marker"], color=look["color"], ms=8, label=label, ls=""
        )
    axes.set(xlabel=f"{'GPU' if seconds == 'gpu_seconds' else 'CPU'} time of a training ({name})", ylabel="mIoU (%)")
    axes.set_xlim(left=0)
    _legend_outside(axes)
    return figure


def _miou_over(data: DataFrame, cells: Sequence[Cell], x: str, **options: Any) -> tuple[Figure, Axes, dict[str, Any]]:
    """A line for each method and list, means and standard deviations over seeds; also how each method looks."""
    import matplotlib.pyplot as plt
    import seaborn

    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    look = style.seaborn_style(style.looks(cells))
    for number, part in enumerate(frames.by_list(data)):  # colours are those of all lists: one legend is enough
        seaborn.lineplot(
            part, x=x, y="miou", hue="label", style="label", errorbar="sd", ax=axes,
            legend="auto" if number == 0 else False, **options, **look,
        )  # fmt: skip
    axes.set(xlabel=x, ylabel="mIoU (%)")
    _legend_outside(axes)
    return figure, axes, look


def _legend_outside(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), title=None)
