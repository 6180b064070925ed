"""What the plots draw, as data frames with one line per observation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from semiseg.report import names
from semiseg.report.cells import BASELINE, CONTROL, FULL, SUPERVISED, Cell, partition_order
from semiseg.report.records import Records


def finished(records: Records) -> list[Cell]:
    """With all lists of a kind as one, and without controls, which are no result."""
    cells = (records.over_lists() or records).cells()
    return [cell for cell in cells if cell.finished and cell.role != CONTROL]


def focus(records: Records) -> list[Cell]:
    """The finished cells of the one split where most methods can be compared; the smallest of equals."""
    cells = finished(records)
    count = Counter(cell.split for cell in cells)
    if not count:
        return []
    first = min(cells, key=lambda cell: (-count[cell.split], *partition_order(cell.row), cell.split))
    return sorted((cell for cell in cells if cell.split == first.split), key=names.rank)


def place_of(thing: Any) -> tuple[Any, ...]:
    """What a cell and its row in the comparison have in common."""
    row = thing if isinstance(thing, Mapping) else thing.row
    return tuple(str(row[key]) for key in ("split_family", "partition", "head", "method", "variant"))


def seed_differences(records: Records) -> dict[tuple[Any, ...], list[float]]:
    """Place of a cell -> each of its trainings minus the baseline's with the same seed and list."""
    found = {}
    for cells in filter(None, (records, records.over_lists())):
        for cell in cells.cells():
            baseline = cells.baseline(cell)
            if baseline is not None and cell.role not in (CONTROL, BASELINE):
                found[place_of(cell)] = cells.paired(cell, baseline, cell.network)
    return found


def by_labels(cells: Sequence[Cell]) -> pd.DataFrame:
    """One row for each training, with the kind of its lists: lines of different kinds are drawn apart."""
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


def diagnostics(cells: Sequence[Cell]) -> pd.DataFrame:
    """Of methods with pseudo-labels; `bn` of supervised sees unlabelled images, too, but learns nothing from them."""
    keys = {"confident_share": "selected pixels", "pseudo_accuracy": "accuracy of pseudo-labels",
            "near_borders": "accuracy near borders", "inside": "accuracy inside"}  # fmt: skip
    rows = [
        {"iteration": line["iteration"], "share": 100 * line[key], "what": what, "label": names.of(cell)}
        for cell in cells
        if cell.method != SUPERVISED
        for run in cell.finished
        for line in (run.stored.diagnostics if run.stored else ())
        for key, what in keys.items()
        if line.get(key) is not None
    ]
    return pd.DataFrame(rows)


def losses(cells: Sequence[Cell]) -> pd.DataFrame:
    """Of the first finished seed of each cell."""
    kept = [(cell, cell.finished[0].stored) for cell in cells]
    return pd.DataFrame(
        [
            {"iteration": iteration, "loss": value, "name": name, "label": names.of(cell)}
            for cell, stored in kept
            for name, points in (stored.losses if stored else {}).items()
            for iteration, value in points
        ]
    )
