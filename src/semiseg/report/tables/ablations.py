"""One table per ablation of the suite: what each arm changes, measured against the method's default arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semiseg.report import names, run_health
from semiseg.report.cells import Cell, mean_sd
from semiseg.report.records import Records
from semiseg.report.table import LISTED, Table, View
from semiseg.report.tables import comparison, pseudo_labels, published

COLUMNS = (
    "arm", "option", "value", *comparison.IDENTITY, "miou_last_mean", "miou_last_sd", "miou_best_mean", "miou_best_sd",
    "miou_lastk_mean", "miou_lastk_sd", "default_arm", "default_miou_last_mean", "delta_vs_default", "delta_ci_low",
    "delta_ci_high", "delta_covers", "delta_df", "delta_p", "delta_p_holm", "supervised_miou_last_mean",
    "comparison_miou_last_mean", "comparison_seeds", "published_setting", "published_miou", "published_confirmed",
    "published_source", "discriminator_loss",
    *(f"{key}_{figure}" for key in pseudo_labels.SELECTED for figure in pseudo_labels.FIGURES),
    "state", "reason",
)  # fmt: skip
VIEWS = (
    View("Arm", ("arm",)),
    View("Method", ("method", "variant"), "label"),
    View("Labels", ("partition",)),
    View("Network", ("network",)),
    View("mIoU last", ("miou_last_mean", "miou_last_sd"), "mean_sd", bold=True),
    View("Default", ("default_miou_last_mean",), "number", help="the default arm: same network, same seeds"),
    View("Δ default", ("delta_vs_default", "delta_ci_low", "delta_ci_high"), "interval"),
    View("covers", ("delta_covers",), help="what was varied, and the interval therefore speaks for"),
    View("p (Holm)", ("delta_p_holm",), "p", help="corrected for the differences of this table; none with one seed"),
    View("mIoU last k", ("miou_lastk_mean", "miou_lastk_sd"), "mean_sd"),
    View("mIoU best (selected)", ("miou_best_mean", "miou_best_sd"), "mean_sd"),
    View("Seeds", ("seeds",), "number", 0),
    LISTED,
)  # fmt: skip
DISCRIMINATOR = View(
    "Loss of D", ("discriminator_loss",), "number", 2,
    help="of the discriminator, over the last tenth of the training: 0.69 if it cannot tell predictions from truth, "
    "0 if it always can",
)  # fmt: skip
PAPER = (
    View(
        "Paper", ("published_miou",), "number", help="the paper's own ablation, another setting: not to be subtracted"
    ),
    View("Paper's setting", ("published_setting",)),
)
NOTES = (View("Notes", ("notes",)),)
STATE = (View("State", ("state",), "state"),)
LEVEL = 0.05
BOLD = "Bold: an arm that differs from the default arm after Holm's correction. "
ONE_SEED = (
    "Arms of one seed have no p value and are never bold: their intervals cover other test images, and another "
    "training of the same arm may differ by more. "
)
NEVER_SUBTRACTED = (
    "The paper's figures are of another data set, network and list: they stand beside ours and are never "
    "subtracted; figures marked “unconfirmed” could not be read at their source."
)


def build(records: Records) -> list[Table]:
    papers = published.stored()
    return [_table(records.of_ablation(name), name, papers) for name in records.ablations]


def _table(records: Records, name: str, papers: Sequence[Mapping[str, Any]]) -> Table:
    cells = records.cells(name)
    default = default_arm(records, cells)
    rows = [_row(records, cell, default) for cell in cells]
    comparison.correct(rows)
    for row in rows:
        row["bold"] = row["delta_p_holm"] is not None and row["delta_p_holm"] < LEVEL
    option, words = _option(cells), name.replace("_", " ")
    if not any(cell.method == published.ABLATED for cell in cells):
        papers = ()  # the supervised arm of another method's ablation is no row of that paper
    usual = (default.options if default is not None else None) or {}
    for cell, row in zip(cells, rows, strict=True):
        paper = published.ablation(cell.method, cell.options or {}, usual, papers)
        row |= {"arm": cell.arm, "option": option, "value": (cell.options or {}).get(option)} | paper
    selected = [pseudo_labels.view(key) for key in pseudo_labels.SELECTED
                if any(row[f"{key}_mean"] is not None for row in rows)]  # fmt: skip
    if any(row["discriminator_loss"] is not None for row in rows):
        selected.append(DISCRIMINATOR)
    beside = PAPER if any(row["published_miou"] is not None for row in rows) else ()
    noted = NOTES if any(row.get("notes") for row in rows) else ()
    single = any(cell.single for cell in cells if cell.finished)
    return Table(
        f"ablation_{name}",
        f"Ablation: {words}",
        f"{records.title(name) or f'Ablation {words}'}. mIoU in percent after the last iteration, mean ± standard "
        "deviation over seeds, and the difference to the default arm.",
        (*COLUMNS, *(key for view in noted for key in view.keys)),
        (*VIEWS, *selected, *beside, *noted, *STATE),
        tuple(rows),
        BOLD
        + (ONE_SEED if single else "")
        + _no_arm(cells, default)
        + _other_seeds(rows, default)
        + (NEVER_SUBTRACTED if beside else ""),
        {"option": option},
    )


def default_arm(records: Records, cells: Sequence[Cell]) -> Cell | None:
    """The arm without a change of the method that is ablated; the comparison's cell where no arm is.

    If all arms change the recipe, it is the arm with the method's default options.
    """
    ablated = [cell for cell in cells if cell.method != "supervised"] or list(cells)
    if not ablated:
        return None
    like = ablated[0]
    known = [one for one in (*cells, *records.cells()) if one.method == like.method]
    main = [one for one in known if one.variant in names.MAIN_VARIANTS]
    usual = main[0].options if main else None
    alike = [one for one in ablated if one.method == like.method and usual and one.options == usual]
    return next((one for one in main + alike if one in cells or one.setting == like.setting), None)


def _row(records: Records, cell: Cell, default: Cell | None) -> dict[str, Any]:
    """One arm's row. A supervised arm is compared by the network that the method reports."""
    row = comparison.identity(cell) | comparison.figures(cell)
    looks = (run_health.accepted_code, run_health.unlike_trainings)
    if noted := [finding for look in looks for finding in look(records, cell)]:
        row |= comparison.notes(cell, noted)
    network = default.network if default is not None else cell.network
    fair = default is not None and cell is not default and cell.setting == default.setting
    interval = records.difference(cell, default, network) if fair else None
    drawn = records.in_common((cell, default), network) if default is not None else []
    theirs = (
        [run.miou("last", network) for run in default.finished if run.drawn in drawn] if default is not None else []
    )
    baseline = records.baseline(cell)
    compared = next((one for one in records.cells() if _same_place(one, cell)), None)
    return row | {
        "default_arm": default.arm if default is not None else None,
        "default_miou_last_mean": mean_sd(theirs)[0],
        "delta_vs_default": interval and interval.estimate,
        **comparison.spell_out(interval, "delta"),
        **pseudo_labels.selected(cell),
        "discriminator_loss": _discriminator_loss(cell),
        "supervised_miou_last_mean": baseline.mean(cell.network) if baseline is not None else None,
        "comparison_miou_last_mean": compared.mean() if compared is not None else None,
        "comparison_seeds": len(compared.finished) if compared is not None else None,
    }


def _discriminator_loss(cell: Cell) -> float | None:
    """Both halves of it over the last tenth of the training, mean over the runs."""
    found = []
    for run in cell.finished:
        losses = run.stored.losses if run.stored else {}
        late = [
            [value for iteration, value in points if iteration > 0.9 * run.iterations]
            for name, points in losses.items()
            if name.startswith("discriminator")
        ]
        if late and all(late):
            found.append(sum(sum(values) / len(values) for values in late))
    return mean_sd(found)[0]


def _same_place(one: Cell, other: Cell) -> bool:
    return (one.setting, one.method, one.variant) == (other.setting, other.method, other.variant)


def _no_arm(cells: Sequence[Cell], default: Cell | None) -> str:
    """Where the default arm is, if it is no row."""
    if default is None or default in cells:
        return ""
    return f"The default arm is no row here: it is {names.of(default)} in the comparison. "


def _other_seeds(rows: Sequence[Mapping[str, Any]], default: Cell | None) -> str:
    """Why the default arm's figure differs from the comparison's, if it does."""
    for row in rows:
        if default is None or row["variant"] != default.variant or row["method"] != default.method:
            continue
        if row["miou_last_mean"] is not None and (row["comparison_seeds"] or 0) > row["seeds"]:
            return (
                f"The default arm has {row['miou_last_mean']:.1f} here over {row['seeds']} of the seeds, and "
                f"{row['comparison_miou_last_mean']:.1f} in the comparison over all {row['comparison_seeds']}. "
            )
    return ""


def _option(cells: Sequence[Cell]) -> str | None:
    """The option in which the arms differ, if it is a single one."""
    blocks = [cell.options or {} for cell in cells]
    names_of = sorted({key for block in blocks for key in block})
    varied = [key for key in names_of if len({str(block.get(key)) for block in blocks}) > 1]
    return varied[0] if len(varied) == 1 and len({cell.method for cell in cells}) == 1 else None
