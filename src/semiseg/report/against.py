"""Two reports side by side: which cells changed, and whether significantly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.report import names, statistics
from semiseg.report.cells import Cell, mean_sd, partition_order
from semiseg.report.html.pages import Pages
from semiseg.report.records import Records
from semiseg.report.table import Table, View
from semiseg.runs import collect

PLACE = ("dataset", "split_family", "partition", "method", "variant", "head", "network")
COLUMNS = (
    *PLACE, "labelled", "before_mean", "before_sd", "before_seeds", "after_mean", "after_sd", "after_seeds",
    "difference", "ci_low", "ci_high", "covers", "p", "p_holm", "changed", "reason",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("Method", ("method", "variant"), "label"),
    View("Network", ("network",)),
    View("Before", ("before_mean", "before_sd"), "mean_sd", 2),
    View("After", ("after_mean", "after_sd"), "mean_sd", 2),
    View("Difference", ("difference", "ci_low", "ci_high"), "interval", 2, bold=True),
    View("p (Holm)", ("p_holm",), "p"),
    View("covers", ("covers",)),
    View("Changed", ("changed",)),
    View("Not compared because", ("reason",)),
)


def build(
    suite_name: str, suite_dir: Path, rows: Sequence[Mapping[str, Any]], other_dir: Path, *, dataset: Mapping[str, Any]
) -> Table:
    """Write against/: this study's cells minus those of the study in `other_dir`, as a table and as a page.

    Apart from tables/ and report/, which are made from this suite alone.
    """
    listed = Path(other_dir) / "records.jsonl"
    if not listed.exists():
        raise UserError(f"{listed} does not exist; --against takes the folder of a suite that has a report")
    ours, theirs = Records(suite_name, Path(suite_dir), rows), Records("other", Path(other_dir), collect.read(listed))
    table = compare(ours, theirs, str(other_dir))
    folder = Path(suite_dir) / "against"
    table.write(folder)
    Pages(folder, suite_name, dataset, ours, report="../report/").write("against", "index", table=table)
    return table


def compare(ours: Records, theirs: Records, name: str) -> Table:
    before = {_place(cell): cell for cell in theirs.cells()}
    rows = [_row(ours, cell, before.get(_place(cell))) for cell in ours.cells()]
    tested = [row for row in rows if row["p"] is not None]
    for row, adjusted in zip(tested, statistics.holm([row["p"] for row in tested]), strict=True):
        row |= {"p_holm": adjusted, "changed": "yes" if adjusted < 0.05 else "no", "bold": adjusted < 0.05}
    rows.sort(key=lambda row: (row["dataset"], partition_order(row), names.rank(row)))
    return Table(
        "against",
        "Against another study",
        f"mIoU after the last iteration, minus that of the same cell in {name}, paired by seed and by image where both "
        "have the same.",
        COLUMNS,
        VIEWS,
        tuple(rows),
        "Bold: a significant change after Holm's correction. Cells of other lists are not subtracted.",
    )


def _place(cell: Cell) -> tuple[str, ...]:
    return tuple(str(getattr(cell, key)) for key in PLACE)


def _row(records: Records, cell: Cell, before: Cell | None) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {key: cell.row.get(key) for key in (*PLACE, "labelled")}
    row["after_mean"], row["after_sd"] = mean_sd(cell.values())
    row |= {"after_seeds": len(cell.finished), "bold": False, "reason": _why_not(cell, before)}
    if before is None:
        return row
    row["before_mean"], row["before_sd"] = mean_sd(before.values())
    row["before_seeds"] = len(before.finished)
    if row["reason"]:
        return row
    interval = records.difference(cell, before)
    if interval is None:
        row["difference"] = row["after_mean"] - row["before_mean"]
        return row
    return row | {
        "difference": interval.estimate, "ci_low": interval.low, "ci_high": interval.high, "covers": interval.covers,
        "p": interval.p,
    }  # fmt: skip


def _why_not(cell: Cell, before: Cell | None) -> str:
    if before is None:
        return "not in the other study"
    if not cell.finished or not before.finished:
        return "not finished in both"
    return "other labelled images" if cell.split_sha256 != before.split_sha256 else ""
