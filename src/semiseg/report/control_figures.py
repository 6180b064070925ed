"""What the controls of a study show: two sentences, and a table with the controls of a method side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from semiseg.report import names
from semiseg.report.cells import FULL
from semiseg.report.table import Table, View

VIEWS = (
    View("Method", ("label",)),
    View("Supervised", ("baseline",), "number"),
    View("Hidden labels", ("oracle",), "number"),
    View("Difference", ("oracle_gain", "oracle_low", "oracle_high"), "interval"),
    View("Gap closed %", ("oracle_gap",), "number", 0),
    View("Another image", ("shuffled",), "number"),
    View("Difference", ("shuffled_gain", "shuffled_low", "shuffled_high"), "interval"),
)
READING = (
    "The teacher's prediction was replaced. Hidden labels: by the true labels of the unlabelled images; a correct "
    "method comes close to training with all labels. Another image: by the prediction for another image; a correct "
    "method gains nothing. mIoU in percent after the last iteration; differences (95 % intervals) are taken to the "
    "supervised network of the same kind and head; gap closed is the share of the distance to all labels."
)
# Control, on which side of supervised it should end, and where its pseudo-labels come from.
REPLACED = (("oracle", False, "the hidden labels"), ("shuffled", True, "the prediction for another image"))

Row = Mapping[str, Any]
Tables = Mapping[str, Table]


def sentences(tables: Tables) -> str:
    """Empty without a finished control."""
    rows, said = _finished(tables), []
    for control, below, source in REPLACED:
        compared = [row for row in rows if _control(row) == control and row["delta_vs_supervised"] is not None]
        sizes = [abs(row["delta_vs_supervised"]) for row in compared if (row["delta_vs_supervised"] < 0) == below]
        if not compared:
            continue
        all_of = "the only cell" if len(compared) == 1 else f"all {len(compared)} cells"
        which = all_of if len(sizes) == len(compared) else f"{len(sizes)} of {len(compared)} cells"
        end = "ends" if len(sizes) == 1 else "end"
        text = f"With pseudo-labels from {source} {which} {end} {'below' if below else 'above'} supervised"
        span = list(dict.fromkeys(f"{size:.1f}" for size in (min(sizes), max(sizes)))) if sizes else []
        said.append(f"{text}, by {' to '.join(span)} points." if span else f"{text}.")
    return " ".join(said)


def places(tables: Tables) -> Iterator[tuple[Row, Table]]:
    """For each list and number of labels a row of it, and the table, with methods in their order."""
    found: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    of_place: dict[tuple[Any, ...], Row] = {}
    for row in sorted(_finished(tables), key=names.rank):
        place, name = (row["split_family"], row["partition"]), names.label(row["method"], _others(row["variant"]))
        of_place.setdefault(place, row)
        shown = found.setdefault(place, {}).setdefault(name, {"label": name})
        control = _control(row)
        shown |= {
            "baseline": row["baseline_miou_last_mean"],
            control: row["miou_last_mean"],
            f"{control}_gain": row["delta_vs_supervised"],
            f"{control}_low": row["delta_ci_low"],
            f"{control}_high": row["delta_ci_high"],
            f"{control}_gap": row["gap_closed"],
        }
    for (family, partition), rows in found.items():
        shown = tuple(rows.values())
        views = tuple(view for view in VIEWS if any(view.of(one) for one in shown))
        name = re.sub(r"\W+", "-", f"controls_{partition}_{family}")
        yield of_place[family, partition], Table(name, "Controls", "", (), views, shown, READING)


def _finished(tables: Tables) -> list[Row]:
    """Of this study, and without those on all labels, where nothing is hidden."""
    rows = tables["controls"].rows if "controls" in tables else ()
    known = [row for row in rows if row["miou_last_mean"] is not None and not row["source"]]
    return [row for row in known if row["partition"] != FULL and _control(row)]


def _control(row: Row) -> str:
    parts = row["variant"].split(",")
    return next((part.removeprefix("control=") for part in parts if part.startswith("control=")), "")


def _others(variant: str) -> str:
    """The options of a variant beside `control`."""
    return ",".join(part for part in variant.split(",") if not part.startswith("control=")) or "default"
