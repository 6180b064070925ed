"""Where the spread of a figure comes from, and the smallest difference that this study could have found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from semiseg.report.cells import BASELINE, Cell
from semiseg.report.records import Records
from semiseg.report.table import Table, View

COLUMNS = ("source", "partition", "split_sha256", "sd", "mean", "maximum", "groups", "df", "explanation")
VIEWS = (
    View("Source", ("source",)),
    View("Labels", ("partition",)),
    View("sd (mIoU)", ("sd",), "number", 2),
    View("Mean", ("mean",), "number", 2),
    View("Largest", ("maximum",), "number", 2),
    View("From", ("groups",), "number", 0, help="cells or runs"),
    View("Meaning", ("explanation",)),
)
NOT_MEASURED = "not measured in this suite"


def build(records: Records) -> Table:
    cells = [cell for cell in records.cells() if cell.finished]
    rows: list[dict[str, Any]] = []
    for source in (_seeds, _lists, _selection, _repeats):
        rows += source(cells, records)
    rows += _detectable(cells, records)
    for row in rows:
        of_partition = {cell.split_sha256: None for cell in cells if str(cell.partition) == row["partition"]}
        row["split_sha256"] = " ".join(filter(None, of_partition)) or None
    return Table(
        "noise_budget",
        "Noise budget",
        "Standard deviations in mIoU points by source, pooled over cells, and the smallest true difference to "
        "supervised that would have been found in four of five such studies (5 % two-sided, 80 % power).",
        COLUMNS,
        VIEWS,
        tuple(rows),
        "A source without repetitions in this suite cannot be measured and says so.",
    )


def _row(source: str, explanation: str, **figures: Any) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {"source": source, "explanation": explanation} | figures


def pooled(samples: Iterable[Sequence[float]]) -> tuple[float, int, int] | None:
    """(standard deviation, degrees of freedom, groups) within groups of at least two."""
    groups = [np.asarray(values) for values in samples if len(values) > 1]
    df = sum(len(values) - 1 for values in groups)
    if not df:
        return None
    return float(np.sqrt(sum(((values - values.mean()) ** 2).sum() for values in groups) / df)), df, len(groups)


def _seeds(cells: Sequence[Cell], _: Records) -> list[dict[str, Any]]:
    by_partition: dict[str, list[list[float]]] = defaultdict(list)
    for cell in cells:
        by_partition[str(cell.partition)].append(cell.values())
    rows = []
    for partition, samples in by_partition.items():
        found = pooled(samples)
        if found:
            sd, df, groups = found
            rows.append(
                _row(
                    "seeds",
                    "same labelled images, other initial weights and order",
                    partition=partition,
                    sd=sd,
                    df=df,
                    groups=groups,
                    maximum=max(np.std(v, ddof=1) for v in samples if len(v) > 1),
                )
            )
    return rows or [_row("seeds", NOT_MEASURED)]


def _lists(cells: Sequence[Cell], _: Records) -> list[dict[str, Any]]:
    """Variance between the means of families that draw the same number of labels, less what seeds explain of it."""
    by_place: dict[tuple[Any, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        by_place[str(cell.partition), cell.method, cell.variant, cell.head].append(cell)
    by_partition: dict[str, list[tuple[list[float], float]]] = defaultdict(list)
    for (partition, *_rest), same in by_place.items():
        if len({cell.split_sha256 for cell in same}) > 1:
            seeds = pooled([cell.values() for cell in same])
            noise = seeds[0] ** 2 * float(np.mean([1 / len(cell.values()) for cell in same])) if seeds else 0.0
            by_partition[partition].append(([float(np.mean(cell.values())) for cell in same], noise))
    rows = []
    for partition, places in by_partition.items():
        sd, df, groups = pooled([means for means, _ in places])
        left = max(0.0, sd**2 - float(np.mean([noise for _, noise in places])))
        rows.append(
            _row(
                "labelled images",
                "other lists of as many labelled images",
                partition=partition,
                sd=float(np.sqrt(left)),
                df=df,
                groups=groups,
            )
        )
    return rows or [_row("labelled images", NOT_MEASURED)]


def _selection(cells: Sequence[Cell], _: Records) -> list[dict[str, Any]]:
    by_partition: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        for run in cell.finished:
            if run.miou("best") is not None:
                by_partition[str(cell.partition)].append(run.miou("best") - run.miou("last"))
    rows = [
        _row(
            "selection",
            "best evaluation instead of the last: what reporting “best” would have added",
            partition=partition,
            sd=float(np.std(gains, ddof=1)) if len(gains) > 1 else None,
            mean=float(np.mean(gains)),
            maximum=max(gains),
            groups=len(gains),
        )
        for partition, gains in by_partition.items()
    ]
    return rows or [_row("selection", "selection is not allowed on this data set")]


def _repeats(cells: Sequence[Cell], records: Records) -> list[dict[str, Any]]:
    """Runs of one spec, which differ by the arithmetic of the hardware alone."""
    by_spec: dict[Any, dict[Any, float]] = defaultdict(dict)
    for run in records.runs:
        if run.done:
            by_spec[run.eval["spec_sha256"]][run.row["run"]] = run.miou()
    found = pooled([list(values.values()) for values in by_spec.values()])
    if not found:
        return [_row("repeated run", f"same seed again: {NOT_MEASURED}")]
    return [_row("repeated run", "same seed again", sd=found[0], df=found[1], groups=found[2])]


def _detectable(cells: Sequence[Cell], records: Records) -> list[dict[str, Any]]:
    by_partition: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in cells:
        baseline = records.baseline(cell)
        if baseline is None or cell.role == BASELINE:
            continue
        interval = records.difference(cell, baseline)
        if interval is not None and interval.error:
            by_partition[str(cell.partition), interval.covers].append(interval.detectable())
    return [
        _row("smallest detectable difference", f"to supervised, speaking for {covers}", partition=partition,
             mean=float(np.median(values)), maximum=max(values), groups=len(values))
        for (partition, covers), values in by_partition.items()
    ]  # fmt: skip
