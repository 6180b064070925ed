"""What DVC compares between commits and experiments: every finished cell's mIoU as metrics, and as points of plots.

A cell without a figure is absent from these files, never a zero; the tables show its state.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.report.cells import FULL, Cell, mean_sd
from semiseg.report.records import Records
from semiseg.report.table import Table

CURVES = {
    "label_efficiency": ("series", "family", "partition", "labelled", "method", "variant", "miou", "sd", "seeds"),
    "training_curves": ("series", "split", "method", "variant", "iteration", "miou", "seeds"),
    "ablations": ("ablation", "arm", "position", "partition", "method", "variant", "miou", "sd", "seeds"),
}


def write(records: Records, folder: Path) -> None:
    """summary.json for `dvc metrics`, and a CSV for each plot of dvc.yaml."""
    files.write_json(folder / "summary.json", summary(records))
    comparison = records.cells()
    ablations = [cell for name in records.ablations for cell in records.of_ablation(name).cells(name)]
    curves = {
        "label_efficiency": map(_point, comparison),
        "training_curves": (row for cell in comparison for row in _curve(cell)),
        "ablations": _arms(ablations),
    }
    for name, rows in curves.items():
        drawn = tuple(row for row in rows if row["miou"] is not None)
        table = Table(name, name, "", CURVES[name], (), drawn)
        files.write_text(folder / f"{name}.csv", table.csv())


def summary(records: Records) -> dict[str, Any]:
    """mIoU after the last iteration, mean over seeds: by split, method and variant; by ablation and arm."""
    planned = [run for run in records.runs if run.state != "not_applicable"]
    done = {"done": sum(run.done for run in planned), "planned": len(planned)}
    miou: dict[str, dict[str, float]] = {}
    for cell in records.cells():
        _put(miou, _split(cell), _series(cell), cell)
    ablations: dict[str, dict[str, float]] = {}
    for name in records.ablations:
        for cell in records.of_ablation(name).cells(name):
            _put(ablations, name, cell.arm, cell)
    return {"runs": done, "miou": miou, **({"ablations": ablations} if ablations else {})}


def _put(into: dict[str, dict[str, float]], group: str, name: str, cell: Cell) -> None:
    value, _ = mean_sd(cell.values())
    if value is not None:
        into.setdefault(group, {})[name] = float(format(value, ".6g"))


def _split(cell: Cell) -> str:
    return FULL if cell.partition == FULL else f"{cell.split_family} {cell.partition}"


def _series(cell: Cell) -> str:
    return cell.method if cell.variant == "default" else f"{cell.method} {cell.variant}"


def _point(cell: Cell) -> dict[str, Any]:
    value, sd = mean_sd(cell.values())
    return {
        "series": _series(cell), "family": cell.split_family, "partition": cell.partition, "labelled": cell.labelled,
        "method": cell.method, "variant": cell.variant, "miou": value, "sd": sd, "seeds": len(cell.finished),
    }  # fmt: skip


def _curve(cell: Cell) -> Iterable[dict[str, Any]]:
    """mIoU of the reported network at every evaluation, mean over the seeds."""
    scores: dict[int, list[float]] = {}
    for run in cell.finished:
        curve = run.eval["networks"][run.network]["curves"][run.eval["evaluated_on"]]
        for iteration, miou in zip(run.eval["iterations"], curve, strict=True):
            scores.setdefault(iteration, []).append(miou)
    named = {"series": _series(cell), "split": _split(cell), "method": cell.method, "variant": cell.variant}
    for iteration, values in sorted(scores.items()):
        yield named | {"iteration": iteration, "miou": sum(values) / len(values), "seeds": len(values)}


def _arms(cells: Iterable[Cell]) -> Iterable[dict[str, Any]]:
    positions: dict[str, int] = {}
    for cell in cells:
        positions[cell.kind] = positions.get(cell.kind, -1) + 1
        yield _point(cell) | {"ablation": cell.kind, "arm": cell.arm, "position": positions[cell.kind]}
