"""What the plots draw, as data frames with one line per observation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from semiseg.report import names
from semiseg.report.records import FULL, Cell, Records, Run, partition_order


def finished(records: Records) -> list[Cell]:
    return [cell for cell in records.cells() if cell.finished]


def focus(records: Records) -> list[Cell]:
    """The finished cells of the one split where most methods can be compared; the smallest of equals."""
    cells = finished(records)
    count = Counter(cell.split for cell in cells)
    if not count:
        return []
    first = min(cells, key=lambda cell: (-count[cell.split], *partition_order(cell.row), cell.split))
    return sorted((cell for cell in cells if cell.split == first.split), key=names.rank)


def by_labels(cells: Sequence[Cell]) -> pd.DataFrame:
    """Several lists of one size are several rows of seeds: no mean is taken over both."""
    return pd.DataFrame(
        [
            {"labelled": cell.labelled, "miou": value, "label": names.of(cell), "list": cell.split_family}
            for cell in cells
            if cell.labelled
            for value in cell.values()
        ]
    )


def by_list(data: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each family of lists, with those of all labels, which are every family's."""
    families = sorted(set(data["list"]) - {FULL}) if "list" in data else []
    return [data[data["list"].isin((family, FULL))] for family in families] or [data]


def curves(cells: Sequence[Cell]) -> pd.DataFrame:
    """mIoU on the evaluated set at every evaluation, from records alone."""
    rows = []
    for cell in cells:
        for run in cell.finished:
            scores = run.eval["networks"][run.network]["curves"][run.eval["evaluated_on"]]
            rows += [
                {"iteration": iteration, "miou": miou, "label": names.of(cell), "seed": run.seed}
                for iteration, miou in zip(run.eval["iterations"], scores, strict=True)
            ]
    return pd.DataFrame(rows)


def metrics(run: Run, kind: str) -> list[dict[str, Any]]:
    """Lines of one kind of a run's metrics.jsonl; none where the folder is not at hand."""
    path = None if run.folder is None else run.folder / "metrics.jsonl"
    if path is None or not path.exists():
        return []
    mark = f'"{kind}"'
    found = (json.loads(line) for line in path.read_text().splitlines() if mark in line)
    latest = {(line["iteration"], line.get("set"), line.get("network")): line for line in found if line["kind"] == kind}
    return list(latest.values())  # a resumed training logs some iterations twice; the later line holds


def diagnostics(cells: Sequence[Cell]) -> pd.DataFrame:
    keys = {"confident_share": "confident pixels", "pseudo_accuracy": "accuracy of pseudo-labels"}
    rows = [
        {"iteration": line["iteration"], "share": 100 * line[key], "what": what, "label": names.of(cell)}
        for cell in cells
        for run in cell.finished
        for line in metrics(run, "diagnostics")
        for key, what in keys.items()
        if line.get(key) is not None
    ]
    return pd.DataFrame(rows)


def losses(cells: Sequence[Cell]) -> pd.DataFrame:
    rows = []
    for cell in cells:
        for line in metrics(cell.finished[0], "train"):
            rows += [
                {"iteration": line["iteration"], "loss": value, "name": name, "label": names.of(cell)}
                for name, value in line["losses"].items()
            ]
    return pd.DataFrame(rows)
