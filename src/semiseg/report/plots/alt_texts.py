"""A sentence or two on each plot for readers who do not see it: the figures that it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from semiseg.report import names
from semiseg.report.cells import BASELINE
from semiseg.report.table import Row, Table
from semiseg.report.tables import headline
from semiseg.report.tables.cost import frontier

ABLATION = "ablation_"
LEVEL = 0.05


def of_study(drawn: Sequence[str], tables: Mapping[str, Table], partition: str) -> dict[str, str]:
    """Name of a plot -> text. `partition`: of the plots that show one number of labels."""
    rows = [row for row in headline(tables).rows if row["miou_last_mean"] is not None]
    focus = [row for row in rows if str(row["partition"]) == partition]
    texts: dict[str, Callable[[], str]] = {
        "label_efficiency": lambda: label_efficiency(rows),
        "differences": lambda: differences(rows),
        "training_curves": lambda: f"One line for each method. At the end {_range(focus, 'miou_last_mean')}.",
        "pseudo_labels": lambda: pseudo_labels(tables, partition),
        "losses": lambda: (
            f"One panel for each of {len(focus)} methods and variants, with its losses over the iterations."
        ),
        "class_iou": lambda: (
            f"A matrix of methods and classes. Of the means over classes, {_range(focus, 'miou_last_mean')}."
        ),
        "class_differences": lambda: class_differences(tables["classes"].rows, partition),
        "confusion": lambda: (
            "Confusion matrices of the supervised baseline and of the method with the highest mIoU, side by side."
        ),
        "field_order": lambda: field_order(tables["field_order"].rows[0]),
        "cost": lambda: cost([row | _seconds(row, tables) for row in focus]),
    }
    return {
        name: ablation(tables[name].rows) if name.startswith(ABLATION) else texts[name]()
        for name in drawn
        if name.startswith(ABLATION) or name in texts
    }


def label_efficiency(rows: Sequence[Row]) -> str:
    said = []
    for size in sorted({row["labelled"] for row in rows if row["labelled"]}):
        here = [row for row in rows if row["labelled"] == size]
        base = next((row for row in here if row["role"] == BASELINE), None)
        top = max(here, key=lambda row: row["miou_last_mean"])
        than = f", supervised {base['miou_last_mean']:.1f}" if base and base is not top else ""
        said.append(f"{names.of(top)} {top['miou_last_mean']:.1f}{than} with {size:,} labels")
    return f"Highest mIoU: {'; '.join(said)}."


def differences(rows: Sequence[Row]) -> str:
    known = sorted((row for row in rows if row["delta_vs_supervised"] is not None),
                   key=lambda row: -row["delta_vs_supervised"])  # fmt: skip
    if not known:
        return "No difference is known."
    above = [row for row in known if row["delta_vs_supervised"] > 0]
    sure = [row for row in above if row["delta_p_holm"] is not None and row["delta_p_holm"] < LEVEL]
    places = {row["partition"] for row in known}
    where = [f" at {row['partition']} labels" if len(places) > 1 else "" for row in known]
    ends = [f"{names.of(known[end])} {known[end]['delta_vs_supervised']:+.1f}{where[end]}" for end in (0, -1)]
    return (
        f"{len(above)} of {len(known)} differences are above zero, {len(sure)} of them significantly. "
        f"They go from {' down to '.join(ends)} points."
    )


def class_differences(rows: Sequence[Row], partition: str) -> str:
    here = [row for row in rows if str(row["partition"]) == partition]
    sure = [row for row in here if row["separated"]]
    low, high = (choose(here, key=lambda row: row["difference"]) for choose in (min, max))
    ends = [f"{names.of(row)} {row['difference']:+.1f} on {row['class']}" for row in (high, low)]
    return f"From {' down to '.join(ends)} points; {len(sure)} of {len(here)} differences are significant."


def cost(rows: Sequence[Row]) -> str:
    known = [row for row in rows if row["delta_vs_supervised"] is not None or row["role"] == BASELINE]
    steps = [f"{names.of(row)} ({row['seconds'] / 60:.1f} min, {row['delta_vs_supervised'] or 0.0:+.1f} points)"
             for row in frontier(known, "seconds")]  # fmt: skip
    return f"The frontier of gain against cost: {', '.join(steps)}."


def field_order(row: Row) -> str:
    gains = zip(row["compared"].split(", "), row["published_gains"], row["our_gains"], strict=True)
    return f"Published gain, then ours: {'; '.join(f'{name} {their:+.1f}, {our:+.1f}' for name, their, our in gains)}."


def pseudo_labels(tables: Mapping[str, Table], partition: str) -> str:
    table = tables.get("pseudo_labels")
    rows = [row for row in table.rows if str(row["partition"]) == partition] if table else []
    if not rows:
        return "Share of selected pixels and accuracy of their pseudo-labels during training, one line for each method."
    return (
        f"Selected pixels in percent at the end: {_range(rows, 'confident_share_mean')}. "
        f"Correct among these, in percent: {_range(rows, 'pseudo_accuracy_mean')}."
    )


def ablation(rows: Sequence[Row]) -> str:
    known = [row for row in rows if row["miou_last_mean"] is not None]
    said = ", ".join(f"{row['arm']} {row['miou_last_mean']:.1f}" for row in known)
    return f"mIoU by arm: {said}."


def _range(rows: Sequence[Row], key: str) -> str:
    known = [row for row in rows if row.get(key) is not None]
    if not known:
        return "none"
    low, high = (choose(known, key=lambda row: row[key]) for choose in (min, max))
    return f"{names.of(high)} has the highest value, {high[key]:.1f}, and {names.of(low)} the lowest, {low[key]:.1f}"


def _seconds(row: Row, tables: Mapping[str, Table]) -> dict[str, Any]:
    keys = ("split_family", "partition", "method", "variant", "head")
    costs = [one for one in tables["cost"].rows if all(one[key] == row[key] for key in keys)]
    return {"seconds": next((one["gpu_seconds"] or one["cpu_seconds"] for one in costs), None)}


OF = {"differences": differences, "cost": cost}
