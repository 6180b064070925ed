"""Plots whose horizontal axis is a quantity: labels, iterations, time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from semiseg.report import names
from semiseg.report.cells import BASELINE, Cell
from semiseg.report.plots import frames, style
from semiseg.report.records import Records
from semiseg.report.table import Row, Table
from semiseg.report.tables import headline
from semiseg.report.tables.cost import clock, frontier, spent

WINDOW = 10  # points of a loss that are averaged
PLACES = (  # of a name beside its point, in typographic points
    (0, 8, "center", "bottom"), (0, -8, "center", "top"), (8, 0, "left", "center"), (-8, 0, "right", "center"),
    (0, 18, "center", "bottom"), (0, -18, "center", "top"),
)  # fmt: skip

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
            legend=axes is panels[0][0], **look,
        )  # fmt: skip
        axes.set(xlabel="iteration", ylabel="%", title=what, ylim=(0, 102))
    _legend_below(figure, panels[0][0])
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
    """Of the split and head where most methods can be compared."""
    focus = frames.focus(records)
    shown = {frames.place_of(cell) for cell in focus if cell.head == focus[0].head}
    rows = [row for row in headline(tables).rows if frames.place_of(row) in shown]
    costs = [row for row in tables["cost"].rows if row["kind"] == "comparison"]
    seconds = clock(*costs) if costs else "cpu_seconds"
    return gain_against_cost([row | {"seconds": spent(row, tables["cost"])} for row in rows], seconds)


def gain_against_cost(rows: Sequence[Row], seconds: str) -> Figure | None:
    """`seconds` of a training against the gain over supervised; the frontier is a line through cells with names."""
    import matplotlib.pyplot as plt

    known = [row for row in rows if row["delta_vs_supervised"] is not None or row["role"] == BASELINE]
    rows = [row for row in known if row["seconds"]]
    if len(rows) < 2:
        return None
    unit, name = (3600, "hours") if max(row["seconds"] for row in rows) > 7200 else (60, "minutes")
    figure, axes = plt.subplots(figsize=(6.6, 4.2))
    looks = style.looks(list(rows))
    handles = []
    for row in sorted(rows, key=names.rank):
        look, point = looks[names.of(row)], (row["seconds"] / unit, row["delta_vs_supervised"] or 0.0)
        handles += axes.plot(*point, look["marker"], color=look["color"], ms=8, label=names.of(row), ls="")
    best = [(row["seconds"] / unit, row["delta_vs_supervised"] or 0.0, names.of(row))
            for row in frontier(rows, "seconds")]  # fmt: skip
    axes.plot(*zip(*[point[:2] for point in best], strict=True), color="0.45", lw=1, zorder=0)
    axes.margins(0.14)
    axes.autoscale_view()
    axes.set(
        xlabel=f"{'GPU' if seconds == 'gpu_seconds' else 'CPU'} time of a training ({name})",
        ylabel="mIoU minus supervised (points)",
    )
    style.legend_below(figure, handles, [handle.get_label() for handle in handles])
    _write_names(axes, best)
    return figure


def _write_names(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Names beside their points, at the first place that is inside the axes and covers no other name."""
    axes.figure.draw_without_rendering()  # the layout moves the points
    inside, taken = axes.get_window_extent(), list[Any]()
    for x, y, label in points:
        for across, up, horizontal, vertical in PLACES:
            name = axes.annotate(
                label, (x, y), xytext=(across, up), textcoords="offset points", fontsize="small",
                ha=horizontal, va=vertical,
            )  # fmt: skip
            box = name.get_window_extent()
            if inside.containsx(box.x0) and inside.containsx(box.x1) and not any(map(box.overlaps, taken)):
                taken.append(box)
                break
            name.remove()  # without a free place the legend alone names the point


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
    _legend_below(figure, axes)
    return figure, axes, look


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.get_legend().remove()
    style.legend_below(figure, handles, labels)
