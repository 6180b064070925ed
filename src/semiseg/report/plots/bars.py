"""Plots whose axis is a list: differences by method, arms of an ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.report import names
from semiseg.report.cells import partition_order
from semiseg.report.plots import style
from semiseg.report.records import Records
from semiseg.report.table import Table

LEVEL = 0.05

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def differences(records: Records, tables: dict[str, Table]) -> Figure | None:
    """Forest plot: one line per cell, by partition."""
    import matplotlib.pyplot as plt

    rows = [row for row in tables["comparison"].rows if row["delta_vs_supervised"] is not None]
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: (partition_order(row), str(row["split_family"]), names.rank(row)))
    looks = style.looks(rows)
    figure, axes = plt.subplots(figsize=(7.6, 1.2 + 0.3 * len(rows)))
    places = range(len(rows))
    for place, row in zip(places, rows, strict=True):
        _one(axes, place, row, looks[names.of(row)])
    axes.axvline(0, color="black", lw=1)
    families = len({row["split_family"] for row in rows}) > 1
    axes.set_yticks(list(places), [_row_label(row, families) for row in rows])
    axes.invert_yaxis()
    axes.margins(y=0.6 / len(rows))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("mIoU minus supervised (points), 95 % interval")
    return figure


def _one(axes: Axes, place: int, row: dict, look: dict) -> None:
    low, high = row["delta_ci_low"], row["delta_ci_high"]
    sure = row["delta_p_holm"] is not None and row["delta_p_holm"] < LEVEL
    if low is not None:
        axes.plot([low, high], [place, place], color=look["color"], lw=2)
    face = look["color"] if sure else "white"
    axes.plot(row["delta_vs_supervised"], place, look["marker"], mfc=face, mec=look["color"], ms=7)
    axes.annotate(
        row["delta_covers"] or "no interval", (1.01, place), xycoords=("axes fraction", "data"), va="center",
        fontsize="x-small", color="0.35",
    )  # fmt: skip


def _row_label(row: dict, families: bool) -> str:
    return f"{names.of(row)} · {row['partition']}" + (f" · {row['split_family']}" if families else "")


def ablation(records: Records, tables: dict[str, Table], name: str) -> Figure | None:
    """Our arms, and beside them the paper's own where it has any."""
    import matplotlib.pyplot as plt

    rows = list(tables[f"ablation_{name}"].rows)
    if not any(row["miou_last_mean"] is not None for row in rows):
        return None
    paper = any(row["published_miou"] is not None for row in rows)
    figure, panels = plt.subplots(
        1, 2 if paper else 1, figsize=(9.2 if paper else 6.4, 1.4 + 0.42 * len(rows)), sharey=True, squeeze=False
    )
    ours = panels[0][0]
    seeds = {cell.arm: cell.values() for cell in records.cells(name)}
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
