"""Plots as SVG and PNG, with their captions in captions.json."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg import files
from semiseg.report.plots import bars, captions, classes, frames, lines, style
from semiseg.report.records import Records
from semiseg.report.table import read_all

DRAWN: dict[str, Callable[..., Any]] = {
    "label_efficiency": lines.label_efficiency,
    "differences": bars.differences,
    "training_curves": lines.training_curves,
    "pseudo_labels": lines.pseudo_labels,
    "losses": lines.losses,
    "class_iou": classes.class_iou,
    "confusion": classes.confusion,
    "cost": lines.cost,
}


def build(suite_name: str, suite_dir: Path, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Draw every plot that the records allow into <suite_dir>/plots; the tables must have been built."""
    suite_dir = Path(suite_dir)
    records, folder = Records(suite_name, suite_dir, rows), suite_dir / "plots"
    tables = read_all(suite_dir / "tables")
    focus = frames.focus(records)
    details = {"partition": str(focus[0].partition) if focus else "?"}
    written: dict[str, dict[str, str]] = {}
    with style.plotting():
        for name, (draw, caption) in _wanted(records, details).items():
            figure = draw(records, tables)
            if figure is not None:
                style.save(figure, folder, name)
                written[name] = caption
    files.write_json(folder / "captions.json", {"order": list(written), "captions": written})
    _remove_others(folder, set(written))
    return list(written)


def _wanted(records: Records, details: dict[str, str]) -> dict[str, tuple[Callable[..., Any], dict[str, str]]]:
    wanted = {name: (draw, captions.caption(name, **details)) for name, draw in DRAWN.items()}
    for name in records.ablations:
        words = captions.caption("ablation", name=name.replace("_", " "))
        wanted[f"ablation_{name}"] = (functools.partial(bars.ablation, name=name), words)
    return wanted


def _remove_others(folder: Path, names: set[str]) -> None:
    """A plot of an earlier build that cannot be drawn any more would be believed."""
    for path in folder.glob("*.*"):
        if path.suffix in (".svg", ".png") and path.stem not in names:
            path.unlink()
