"""Plots as SVG and PNG, with their captions in captions.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.report import captions
from semiseg.report.plots import alt_texts, bars, class_plots, frames, gains, lines, style
from semiseg.report.records import Records
from semiseg.report.table import read_all
from semiseg.report.tables.cost import caution

DRAWN: dict[str, Callable[..., Any]] = {
    "label_efficiency": lines.label_efficiency,
    "differences": bars.differences,
    "training_curves": lines.training_curves,
    "pseudo_labels": lines.pseudo_labels,
    "losses": lines.losses,
    "class_iou": class_plots.class_iou,
    "class_differences": class_plots.class_differences,
    "confusion": class_plots.confusion,
    "cost": lines.cost,
    "field_order": gains.field_order,
}


def build(suite_name: str, suite_dir: Path, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Draw every plot that the records allow into <suite_dir>/plots; the tables must have been built.

    An SVG with a sentence replaces a plot that they do not allow, because the rules promise the same files every time.
    """
    suite_dir = Path(suite_dir)
    records, folder = Records(suite_name, suite_dir, rows), suite_dir / "plots"
    tables = read_all(suite_dir / "tables")
    focus = frames.focus(records)
    partition = str(focus[0].partition) if focus else "?"
    known = captions.of_study(records.ablations, partition, caution(tables["cost"].rows, partition))
    drawn: dict[str, dict[str, str]] = {}
    with style.plotting():
        for name, caption in known.items():
            figure = _draw(name, records, tables)
            if figure is None:
                style.leave_empty(folder, name, caption["title"])
            else:
                style.save(figure, folder, name)
                drawn[name] = caption
    alt = alt_texts.of_study(list(drawn), tables, partition)
    drawn = {name: caption | {"alt": alt[name]} for name, caption in drawn.items()}
    files.write_json(folder / "captions.json", {"order": list(drawn), "captions": drawn})
    _remove_others(folder, {f"{name}.svg" for name in known} | {f"{name}.png" for name in drawn})
    return list(drawn)


def _draw(name: str, records: Records, tables: Mapping[str, Any]) -> Any:
    if name.startswith(captions.ABLATION):
        return bars.ablation(records, tables, name=name.removeprefix(captions.ABLATION))
    return DRAWN[name](records, tables)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove plots of an earlier build that cannot be drawn any more: a reader would believe them."""
    for path in folder.glob("*.*"):
        if path.suffix in (".svg", ".png") and path.name not in names:
            path.unlink()
