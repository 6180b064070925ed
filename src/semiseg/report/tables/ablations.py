"""One table per ablation of the suite, with the paper's own table beside it where one was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semiseg.report.records import COMPARISON, Records
from semiseg.report.table import LISTED, Table, View
from semiseg.report.tables import comparison, published

COLUMNS = (
    "arm", "option", "value", *comparison.IDENTITY, "miou_last_mean", "miou_last_sd", "miou_best_mean", "miou_best_sd",
    "miou_lastk_mean", "miou_lastk_sd", "delta_vs_supervised", "delta_ci_low", "delta_ci_high", "delta_covers",
    "delta_p", "delta_p_holm", "published_setting", "published_miou", "published_confirmed", "published_source",
    "state", "reason",
)  # fmt: skip
VIEWS = (
    View("Arm", ("arm",)),
    View("Method", ("method",)),
    View("Labels", ("partition",)),
    View("Network", ("network",)),
    View("mIoU last", ("miou_last_mean", "miou_last_sd"), "mean_sd", bold=True),
    View("Δ supervised", ("delta_vs_supervised", "delta_ci_low", "delta_ci_high"), "interval"),
    View("covers", ("delta_covers",), help="what the interval speaks for"),
    View("p (Holm)", ("delta_p_holm",), "p"),
    View("mIoU last k", ("miou_lastk_mean", "miou_lastk_sd"), "mean_sd"),
    View("mIoU best (selected)", ("miou_best_mean", "miou_best_sd"), "mean_sd"),
    View("Seeds", ("seeds",), "number", 0),
    LISTED,
)
PAPER = (
    View(
        "Paper", ("published_miou",), "number", help="the paper's own ablation, another setting: not to be subtracted"
    ),
    View("Paper's setting", ("published_setting",)),
)
STATE = (View("State", ("state",), "state"),)
ONE_SEED = "Intervals that cover images alone are of one seed: another training of the same arm may differ by more. "
NEVER_SUBTRACTED = (
    "The paper's figures are of another data set, network and list: they stand beside ours and are never "
    "subtracted; figures marked “unconfirmed” could not be read at their source."
)


def build(records: Records) -> list[Table]:
    papers = published.stored()
    return [_table(records, name, papers) for name in records.ablations]


def _table(records: Records, name: str, papers: Sequence[Mapping[str, Any]]) -> Table:
    cells = records.cells(name)
    rows = [
        comparison.identity(cell) | comparison.figures(cell) | comparison.difference(records, cell) for cell in cells
    ]
    comparison.correct(rows)
    comparison.mark_best(records, cells, rows)
    option, words = _option(cells), name.replace("_", " ")
    if not any(cell.method == published.ABLATED for cell in cells):
        papers = ()  # the supervised arm of another method's ablation is no row of that paper
    for cell, row in zip(cells, rows, strict=True):
        paper = published.ablation(cell.method, cell.options or {}, papers)
        row |= {"arm": cell.arm, "option": option, "value": (cell.options or {}).get(option)} | paper
    beside = PAPER if any(row["published_miou"] is not None for row in rows) else ()
    return Table(
        f"ablation_{name}",
        f"Ablation: {words}",
        f"{records.title(name) or f'Ablation {words}'}. mIoU in percent after the last iteration, mean ± standard "
        "deviation over seeds.",
        COLUMNS,
        (*VIEWS, *beside, *STATE),
        tuple(rows),
        (ONE_SEED if any(row["delta_covers"] == "images" for row in rows) else "")
        + (NEVER_SUBTRACTED if beside else ""),
        {"option": option},
    )


def _option(cells: list[Any]) -> str | None:
    """The one option that tells the arms apart, when it is a single one."""
    blocks = [cell.options or {} for cell in cells if cell.kind != COMPARISON]
    names = sorted({key for block in blocks for key in block})
    varied = [key for key in names if len({str(block.get(key)) for block in blocks}) > 1]
    return varied[0] if len(varied) == 1 and len({cell.method for cell in cells}) == 1 else None
