"""Our gains over supervised beside published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.report.plots import style
from semiseg.report.records import Records
from semiseg.report.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def field_order(records: Records, tables: dict[str, Table]) -> Figure | None:
    """The first row of the table: the smallest partition, and the published column that shares most methods."""
    import matplotlib.pyplot as plt

    table = tables.get("field_order")
    if table is None:
        return None
    row = table.rows[0]
    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    ours, theirs = row["our_gains"], row["published_gains"]
    for gain, low, high, published, label in zip(
        ours, row["our_gains_ci_low"], row["our_gains_ci_high"], theirs, row["compared"].split(", "), strict=True
    ):
        if low is not None:
            axes.plot([published, published], [low, high], color="0.6", lw=1.2, zorder=1)
        axes.plot(published, gain, "o", color=style.COLOURS[0], ms=6)
        axes.annotate(label, (published, gain), xytext=(6, 4), textcoords="offset points", fontsize="small")
    axes.axhline(0, color="0.7", lw=0.8)
    axes.set(
        xlabel=f"published gain over supervised ({row['published_dataset']} {row['published_lists']}, "
        f"{row['published_labelled']:,} labels)",
        ylabel=f"our gain over supervised ({row['partition']} labels)",
    )
    return figure
