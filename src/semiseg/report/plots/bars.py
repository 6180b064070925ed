"""Plots whose axis is a list: differences by method, arms of an ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from semiseg.report import names
from semiseg.report.cells import partition_order
from semiseg.report.plots import frames, style
from semiseg.report.records import Records
from semiseg.report.table import Row, Table
from semiseg.report.tables import headline

LEVEL = 0.05

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def differences(records: Records, tables: dict[str, Table]) -> Figure | None:
    """Forest plots, one panel for each list, number of labels and head."""
    rows = [row for row in headline(tables).rows if row["delta_vs_supervised"] is not None]
    rows.sort(key=lambda row: (str(row["split_family"]), partition_order(row), str(row["head"])))
    panels = [
        (f"{partition} labels, {head} head" + (f", {family}" if len({row["split_family"] for row in rows}) > 1 else ""),
         list(here))
        for (family, partition, head), here in groupby(
            rows, key=lambda row: (row["split_family"], row["partition"], row["head"])
        )
    ]  # fmt: skip
    return forest(panels, frames.seed_differences(records))


def forest(
    panels: Sequence[tuple[str, Sequence[Row]]], seeds: Mapping[tuple[Any, ...], Sequence[float]]
) -> Figure | None:
    """(title, rows) of each panel; rows by gain, the largest at the top. `seeds`: frames.seed_differences."""
    import matplotlib.pyplot as plt

    if not panels:
        return None
    heights = [0.6 + 0.3 * len(rows) for _, rows in panels]
    figure, grid = plt.subplots(
        len(panels), 1, figsize=(6.6, 0.6 + sum(heights)), sharex=True, squeeze=False, height_ratios=heights
    )
    looks = style.looks([row for _, rows in panels for row in rows])
    for axes, (title, rows) in zip(grid[:, 0], panels, strict=True):
        _forest(axes, sorted(rows, key=lambda row: (-row["delta_vs_supervised"], names.rank(row))), looks, seeds)
        if title:
            axes.set_title(title)
    grid[-1, 0].set_xlabel("mIoU minus supervised (points), 95 % interval")
    return figure


def _forest(
    axes: Axes, rows: Sequence[Row], looks: Mapping[str, Any], seeds: Mapping[tuple[Any, ...], Sequence[float]]
) -> None:
    covers = {row["delta_covers"] for row in rows}
    for place, row in enumerate(rows):
        _one(axes, place, row, looks[names.of(row)], seeds.get(frames.place_of(row), ()))
        if len(covers) > 1:
            axes.annotate(
                row["delta_covers"] or "no interval", (1.01, place), xycoords=("axes fraction", "data"), va="center",
                fontsize="x-small", color="0.35",
            )  # fmt: skip
    axes.axvline(0, color="black", lw=1)
    axes.set_yticks(range(len(rows)), [names.of(row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _one(axes: Axes, place: int, row: Row, look: Mapping[str, Any], seeds: Sequence[float]) -> None:
    low, high = row["delta_ci_low"], row["delta_ci_high"]
    sure = row["delta_p_holm"] is not None and row["delta_p_holm"] < LEVEL
    if low is not None:
        axes.plot([low, high], [place, place], color=look["color"], lw=2)
    if len(seeds) > 1:
        axes.plot(seeds, [place + 0.27] * len(seeds), ".", color=look["color"], ms=4, alpha=0.75)
    face = look["color"] if sure else "white"
    axes.plot(row["delta_vs_supervised"], place, look["marker"], mfc=face, mec=look["color"], ms=7)


def ablation(records: Records, tables: dict[str, Table], name: str) -> Figure | None:
    """Our arms, and beside them the paper's own, if there are any."""
    import matplotlib.pyplot as plt

    rows = list(tables[f"ablation_{name}"].rows)
    if not any(row["miou_last_mean"] is not None for row in rows):
        return None
    paper = any(row["published_miou"] is not None for row in rows)
    figure, panels = plt.subplots(
        1, 2 if paper else 1, figsize=(9.2 if paper else 6.4, 1.4 + 0.42 * len(rows)), sharey=True, squeeze=False
    )
    ours = panels[0][0]
    seeds = {cell.arm: cell.values() for cell in records.of_ablation(name).cells(name)}
    for place, row in enumerate(rows):
        if row["miou_last_mean"] is None:
            ours.annotate(
                row["state"].replace("_", " "), (0.02, place), xycoords=("axes fraction", "data"), va="center"
            )
            continue
        ours.plot([row["miou_last_mean"]] * 2, [place - 0.3, place + 0.3], color="C0", lw=3)
        ours.plot(seeds[row["arm"]], [place] * len(seeds[row["arm"]]), "o", color="C0", alpha=0.6, ms=6)
        if row["supervised_miou_last_mean"] is not None:
            ours.plot([row["supervised_miou_last_mean"]] * 2, [place - 0.5, place + 0.5], color="black", ls="--", lw=1)
    _arms(ours, rows, "ours: mIoU (%)")
    if paper:
        _papers_panel(panels[0][1], rows)
    return figure


def _papers_panel(axes: Axes, rows: list[dict]) -> None:
    for place, row in enumerate(rows):
        if row["published_miou"] is not None:
            face = "0.4" if row["published_confirmed"] else "white"
            axes.plot(row["published_miou"], place, "D", mfc=face, mec="0.4", ms=7)
            axes.annotate(
                f"  {row['published_miou']:.1f}", (row["published_miou"], place), va="center", fontsize="small"
            )
    _arms(axes, rows, "the paper: mIoU (%), another setting")
    axes.margins(x=0.25)


def _arms(axes: Axes, rows: list[dict], label: str) -> None:
    axes.set_yticks(range(len(rows)), [row["arm"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(label)
