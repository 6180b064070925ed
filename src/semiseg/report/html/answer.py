"""The one paragraph that answers the question: what helped, by how much, how sure, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semiseg.report import names
from semiseg.report.records import FULL, is_baseline, partition_order
from semiseg.report.table import Table
from semiseg.report.tables import cost

LEVEL = 0.05
Row = Mapping[str, Any]


def answer(tables: Mapping[str, Table]) -> list[str]:
    """Sentences about the split where most methods were compared; honest about what is missing."""
    rows = [row for row in tables["comparison"].rows if row["miou_last_mean"] is not None]
    compared = [row for row in rows if row["delta_vs_supervised"] is not None and row["partition"] != FULL]
    if not compared:
        return ["No method can be compared with the supervised baseline yet: finish the runs listed below."]
    split = _most_compared(compared)
    here = [row for row in compared if _split(row) == split]
    best = max(here, key=lambda row: row["delta_vs_supervised"])
    sentences = [_gain(best), *_others(here), *_reach(best, tables), *_cost(best, tables), *_full(rows, best)]
    return [*sentences, *_caution(tables["comparison"].rows)]


def _split(row: Row) -> tuple[Any, ...]:
    return (row["dataset"], row["split_family"], row["partition"])


def _most_compared(rows: Sequence[Row]) -> tuple[Any, ...]:
    splits = [_split(row) for row in rows]
    return _split(min(rows, key=lambda row: (-splits.count(_split(row)), *partition_order(row))))


def _labels(row: Row) -> str:
    count = f"{row['labelled']:,} labelled images" if row["labelled"] else f"{row['partition']} of the labels"
    return f"{count} of {row['dataset']}"


def _gain(row: Row) -> str:
    gained, low = row["delta_vs_supervised"], row["delta_ci_low"]
    if gained <= 0:
        change = f"came closest: it changed mIoU by {gained:+.1f} points"
    elif low is not None and low <= 0:
        change = f"raised mIoU most, though not beyond chance: by {gained:.1f} points"
    else:
        change = f"helped most: it raised mIoU by {gained:.1f} points"
    return (
        f"With {_labels(row)}, {names.of(dict(row))} {change} over the supervised {row['network']}'s "
        f"{row['baseline_miou_last_mean']:.1f}, to {row['miou_last_mean']:.1f}{_interval(row)}."
    )


def _interval(row: Row) -> str:
    if row["delta_ci_low"] is None:
        return " (no interval: one seed, and no per-image results at hand)"
    words = {
        "images": "other images, not other seeds",
        "seeds": "other seeds",
        "seeds+images": "other seeds and images",
    }
    limits = f"[{row['delta_ci_low']:+.1f}, {row['delta_ci_high']:+.1f}]"
    return f" (95 % interval {limits}, which speaks for {words[row['delta_covers']]})"


def _others(here: Sequence[Row]) -> list[str]:
    sure = [row for row in here if row["delta_p_holm"] is not None and row["delta_p_holm"] < LEVEL]
    better = [row for row in sure if row["delta_vs_supervised"] > 0]
    worse = [row for row in sure if row["delta_vs_supervised"] < 0]
    said = f"Of the {len(here)} variants compared there, {len(better)} {_were(better)} better than supervised beyond "
    said += "chance, after correction for the number of comparisons" + _named(better)
    if worse:
        said += f", and {len(worse)} {_were(worse)} worse{_named(worse)}"
    return [said + "."]


def _named(rows: Sequence[Row]) -> str:
    return f" ({', '.join(names.of(dict(row)) for row in rows)})" if rows else ""


def _were(rows: Sequence[Row]) -> str:
    return "was" if len(rows) == 1 else "were"


def _reach(best: Row, tables: Mapping[str, Table]) -> list[str]:
    for row in tables["labels_saved"].rows:
        same = all(row[key] == best[key] for key in ("partition", "split_family", "method", "variant", "head"))
        if same and row["labels_needed"] is not None:
            labels = row["needed_text"].strip()
            return [f"Supervised, interpolated between its lists, needs {labels} labels for the same mIoU."]
    return []


def _cost(best: Row, tables: Mapping[str, Table]) -> list[str]:
    keys = ("partition", "split_family", "head")
    here = [row for row in tables["cost"].rows if all(row[key] == best[key] for key in keys)]
    ours = [row for row in here if (row["method"], row["variant"]) == (best["method"], best["variant"])]
    base = [row for row in here if is_baseline(row)]
    if not ours or not base:
        return []
    clock = cost.clock(ours[0], base[0])
    if not ours[0][clock] or not base[0][clock]:
        return []
    spent, times = ours[0][clock], ours[0][clock] / base[0][clock]
    time = f"{spent / 3600:.1f} h" if spent > 7200 else f"{spent / 60:.1f} min"
    device = "GPU" if clock == "gpu_seconds" else "CPU"
    return [f"Its training took {time} of {device} time, {times:.1f} times that of the baseline."]


def _full(rows: Sequence[Row], best: Row) -> list[str]:
    """What all labels give the baseline: the same network, with the same head."""
    reached = f"miou_last_{best['network']}_mean"
    for row in rows:
        same = row["partition"] == FULL and all(row[key] == best[key] for key in ("dataset", "head"))
        if same and is_baseline(row) and row.get(reached) is not None:
            labels = f"{row['labelled']:,} labels"
            return [f"With all {labels} the supervised {best['network']} reaches {row[reached]:.1f}."]
    return []


def _caution(rows: Sequence[Row]) -> list[str]:
    said = []
    open_cells = [row for row in rows if row["state"] not in ("done", "not_applicable")]
    if open_cells:
        said.append(f"{len(open_cells)} of {len(rows)} cells are not finished; they are shown with their state.")
    if max((row["seeds"] for row in rows), default=0) == 1:
        said.append(
            "One seed was run: differences of the size that another seed makes cannot be told from chance here."
        )
    return said
