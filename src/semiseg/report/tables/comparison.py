"""The comparison: one row per cell, finished or not; differences to supervised only where they are fair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from semiseg.report import names, statistics
from semiseg.report.cells import BASELINE, CONTROL, FULL, METHOD, Cell, crop_text, mean_sd, partition_order
from semiseg.report.records import Records
from semiseg.report.run_health import Finding
from semiseg.report.table import LISTED, Table, View
from semiseg.report.tables import published, sensitivity
from semiseg.report.tables.pairs import Group

IDENTITY = (
    "suite", "dataset", "evaluated_on", "split_family", "split_sha256", "partition", "labelled", "unlabelled",
    "method", "variant", "network", "encoder", "head", "output_stride", "crop", "iterations", "seeds",
)  # fmt: skip
FIGURES = (
    "miou_last_mean", "miou_last_sd", "miou_best_mean", "miou_best_sd", "miou_lastk_mean", "miou_lastk_sd",
    "delta_vs_supervised", "delta_ci_low", "delta_ci_high", "published_miou", "published_source", "state",
)  # fmt: skip
MORE = (
    "role", "title", "fidelity", "lists", "baseline_variant", "baseline_network", "baseline_miou_last_mean",
    "delta_seeds", "delta_above", "delta_covers", "delta_df", "delta_p", "delta_p_holm", "strong_variant",
    "strong_miou_last_mean",
    "delta_vs_strong", "delta_vs_strong_ci_low", "delta_vs_strong_ci_high", "delta_vs_strong_p",
    "delta_vs_strong_p_holm", "gap_closed", "leading", "bold", "selected_on", "lastk", "miou_last_student_mean",
    "miou_last_teacher_mean", "seeds_planned", "notes", "reason",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",), help="partition of the labelled pool"),
    View("n labelled", ("labelled",), "number", 0),
    View("Method", ("method", "variant"), "label"),
    View("Head", ("head",)),
    View("Network", ("network",), help="student, or its moving average, the teacher"),
    View("mIoU last", ("miou_last_mean", "miou_last_sd"), "mean_sd", bold=True, help="after the last iteration"),
    View("Baseline", ("baseline_miou_last_mean", "baseline_network"), "figure_of",
         help="supervised, same network and head, mean over the same seeds: what the difference is taken to"),
    View("Δ supervised", ("delta_vs_supervised", "delta_ci_low", "delta_ci_high"), "interval",
         help="to the same network of the supervised baseline, with 95 % interval"),
    View("Better in", ("delta_above", "delta_seeds"), "share",
         help="trainings above the baseline's with the same list and seed, of all"),
    View("covers", ("delta_covers",), help="what was varied, and the interval therefore speaks for"),
    View("p (Holm)", ("delta_p_holm",), "p", help="corrected for all differences of this table; none with one seed"),
    View("Δ strong supervised", ("delta_vs_strong", "delta_vs_strong_ci_low", "delta_vs_strong_ci_high"), "interval",
         help="to the best supervised variant of the same split and head"),
    View("Gap closed %", ("gap_closed",), "number", 0, help="share of the way to supervised with all labels"),
    View("mIoU last k", ("miou_lastk_mean", "miou_lastk_sd"), "mean_sd", help="mean of the last k evaluations"),
    View("mIoU best (selected)", ("miou_best_mean", "miou_best_sd"), "mean_sd",
         help="best evaluation on the selection set: what most papers report"),
    View("Student", ("miou_last_student_mean",), "number"),
    View("Teacher", ("miou_last_teacher_mean",), "number"),
    View("Seeds", ("seeds",), "number", 0, help="finished trainings"),
    View("Published", ("published_miou",), "number"),
    View("Lists", ("split_family",)),
    LISTED,
    View("Notes", ("notes",)),
    View("State", ("state",), "state"),
)  # fmt: skip
NOTE = (
    "Bold: the leading group, which is the top of its split and head and all that do not differ significantly from it "
    "after Holm's correction over all pairs; only where at least three cells of several trainings are compared and "
    "one of them is outside the group. Figures of different lists or heads are never subtracted. “best” was selected "
    "by its score on the selection set."
)


def build(
    records: Records, groups: Mapping[tuple[str, ...], Group], findings: Sequence[Finding], name: str = "comparison"
) -> Table:
    cells = [cell for cell in records.cells() if cell.role != CONTROL]
    rows = _rows(records, cells, findings)
    known = published.figures()
    for cell, row in zip(cells, rows, strict=True):
        published.fill_in(row, cell, known)
        row |= _standing(cell, groups.get(cell.setting))
    pooled = name != "comparison"
    return _table(
        name, "Comparison over lists" if pooled else "Comparison", rows,
        "mIoU in percent, mean ± standard deviation over trainings (none with one), and the difference to the "
        "supervised baseline on the same labelled images, same network, head and recipe, with its 95 % interval."
        + (" Trainings with several draws of the labelled images stand together." if pooled else ""),
        " ".join(filter(None, (NOTE, sensitivity.sentences(records)))),
    )  # fmt: skip


def controls(records: Records) -> Table | None:
    """Runs that test a method; they are no result, are compared with nobody but the baseline, and never rank."""
    cells = [cell for cell in records.cells() if cell.role == CONTROL]
    if not cells:
        return None
    return _table(
        "controls", "Controls", _rows(records, cells, ()),
        "Each method's pseudo-labels replaced by the hidden truth (`oracle`: it should come close to all labels) or by "
        "another image's prediction (`shuffled`: it should gain nothing).",
        "Controls show whether a method learns from its pseudo-labels. They use labels that no method may see, or "
        "labels that are wrong on purpose, so they are no result and never rank.",
    )  # fmt: skip


def _table(name: str, title: str, rows: list[dict[str, Any]], caption: str, note: str) -> Table:
    rows.sort(key=place)
    views = tuple(view for view in VIEWS if view.title not in SOMETIMES or any(view.of(row) for row in rows))
    return Table(name, title, caption, (*IDENTITY, *FIGURES, *MORE), views, tuple(rows), note)


# Columns that a table shows only where some row has something to say in them.
SOMETIMES = ("Δ strong supervised", "Gap closed %", "Published", "Notes", "mIoU best (selected)")


def _rows(records: Records, cells: Iterable[Cell], findings: Sequence[Finding]) -> list[dict[str, Any]]:
    rows = [identity(cell) | figures(cell) | differences(records, cell) | notes(cell, findings) for cell in cells]
    for column in ("delta_p", "delta_vs_strong_p"):
        correct(rows, column)
    return rows


def identity(cell: Cell) -> dict[str, Any]:
    evaluated = next((run.eval for run in cell.finished), {})
    row = {key: cell.row.get(key) for key in (*IDENTITY, "title", "fidelity")}
    return row | {
        "role": cell.role,
        "source": cell.source,
        "evaluated_on": evaluated.get("evaluated_on"),
        "selected_on": evaluated.get("selected_on"),
        "crop": crop_text(cell.crop),
        "lists": len({run.drawn[0] for run in cell.runs}),
        "trainings": cell.trainings,
        "seeds": len(cell.finished),
        "seeds_planned": len([run for run in cell.runs if run.state != "not_applicable"]),
        "state": cell.state,
        "reason": cell.reason,
        "leading": None,
        "bold": False,
    }


def figures(cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for rule in ("last", "best", "lastk"):
        row[f"miou_{rule}_mean"], row[f"miou_{rule}_sd"] = mean_sd(cell.values(rule))
    for network in ("student", "teacher"):
        row[f"miou_last_{network}_mean"] = cell.mean(network)
    lastk = next((run.rule("lastk") for run in cell.finished), None)
    return row | {"lastk": lastk and lastk["k"], "published_miou": None, "published_source": None}


def differences(records: Records, cell: Cell) -> dict[str, Any]:
    """To the baseline, and to the best supervised variant; each with the figure that was subtracted."""
    baseline, strong = records.baseline(cell), records.strong(cell)
    row: dict[str, Any] = {"gap_closed": None}
    row |= _delta(
        records, cell, baseline if cell.role != BASELINE else None, "delta_vs_supervised", "delta", "baseline"
    )
    row |= _delta(
        records, cell, strong if cell.role == METHOD else None, "delta_vs_strong", "delta_vs_strong", "strong"
    )
    full = records.all_labels(cell)
    if row["delta_vs_supervised"] is not None and cell.partition != FULL and full is not None and full.finished:
        gap = (full.mean(cell.network) or 0.0) - row["baseline_miou_last_mean"]
        row["gap_closed"] = 100 * row["delta_vs_supervised"] / gap if gap > 0 else None
    return row


def _delta(records: Records, cell: Cell, other: Cell | None, column: str, prefix: str, named: str) -> dict[str, Any]:
    interval = records.difference(cell, other) if other else None
    drawn = records.in_common((cell, other), cell.network) if other else ()
    above = sum(difference > 0 for difference in records.paired(cell, other, cell.network)) if other else 0
    theirs = [run.miou("last", cell.network) for run in other.finished if run.drawn in drawn] if other else []
    return {
        f"{named}_variant": other.variant if theirs else None,
        f"{named}_network": cell.network if theirs else None,
        f"{named}_miou_last_mean": float(np.mean(theirs)) if theirs else None,
        f"{prefix}_seeds": len(drawn) or None,
        f"{prefix}_above": above if drawn else None,
        column: interval and interval.estimate,
        **spell_out(interval, prefix),
    }


def spell_out(interval: statistics.Interval | None, prefix: str) -> dict[str, Any]:
    of = {"ci_low": "low", "ci_high": "high", "covers": "covers", "df": "df", "p": "p"}
    return {f"{prefix}_{key}": interval and getattr(interval, name) for key, name in of.items()}


def notes(cell: Cell, findings: Sequence[Finding]) -> dict[str, Any]:
    kinds = [one.kind.replace("_", " ") for one in findings if one.cell == cell]
    return {"notes": "; ".join(dict.fromkeys(kinds)) or None}


def difference_of(row: Mapping[str, Any], column: str = "delta_p") -> tuple[Any, ...]:
    """The same for rows that show the same trainings."""
    return (row[column], *(row.get("trainings") or (id(row),)))


def correct(rows: list[dict[str, Any]], column: str = "delta_p") -> None:
    """Holm over a table's differences; the same trainings under two names, as a tuned row and its default, are one."""
    tested: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        row[f"{column}_holm"] = None
        if row.get(column) is not None:
            tested.setdefault(difference_of(row, column), []).append(row)
    adjusted = statistics.holm([same[0][column] for same in tested.values()])
    for same, value in zip(tested.values(), adjusted, strict=True):
        for row in same:
            row[f"{column}_holm"] = value


def _standing(cell: Cell, group: Group | None) -> dict[str, Any]:
    ranked = [one.trainings for one in group.ranked] if group else []
    if group is None or cell.trainings not in ranked:
        return {}
    leads = cell.trainings in [one.trainings for one in group.leading]
    return {"leading": leads, "bold": leads and 3 <= len(ranked) > len(group.leading)}


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Where a row stands: by list and number of labels, all labels last, then in the order of the methods."""
    full = row["partition"] == FULL
    return (row["dataset"], full, str(row["split_family"]), partition_order(row), names.rank(row), str(row["head"]))
