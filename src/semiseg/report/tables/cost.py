"""What each cell cost: the only table whose figures depend on the machine and the day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from semiseg.report import names
from semiseg.report.cells import BASELINE, COMPARISON, Cell, partition_order
from semiseg.report.records import Records
from semiseg.report.table import LISTED, Table, View

SUMS = ("gpu_seconds", "cpu_seconds", "wall_seconds", "energy_joules")
STAGES = "Trainings"  # shown where a run takes more than one
NOTE = "Other trainings may have run on the same machine at that time. GPU seconds are zero without a GPU."
COLUMNS = (
    "suite", "dataset", "split_family", "split_sha256", "partition", "labelled", "method", "variant", "network", "head",
    "kind", "arm", "seeds", "trainings",
    *SUMS, "peak_memory_mib", "time_ratio", "memory_ratio", "parameters", "seconds_per_iteration", "miou_last_mean",
    "gain_per_hour", "device", "state", "reason",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("Method", ("method", "variant"), "label"),
    View("Shown in", ("kind",)),
    View(STAGES, ("trainings",), "number", 0,
         help="of a run and of the runs that it learns from; other rows may count the latter, too"),
    View("GPU s", ("gpu_seconds",), "number", 0, help="mean per run, all its trainings together"),
    View("CPU s", ("cpu_seconds",), "number", 0, help="mean per run, all its trainings together"),
    View("Wall s", ("wall_seconds",), "number", 0, help="as CPU s, with the time in which other work had the machine"),
    View("ms / iteration", ("milliseconds",), "number", 1,
         help="GPU time if the run had a GPU, otherwise CPU time; the run's own training only"),
    View("Peak MiB", ("peak_memory_mib",), "number", 0, help="largest of the runs"),
    View("Time × supervised", ("time_ratio",), "number", 2,
         help="GPU seconds if there was a GPU, otherwise CPU seconds; relative to supervised with the same head"),
    View("Memory × supervised", ("memory_ratio",), "number", 2),
    View("Energy kJ", ("energy_kilojoules",), "number", 1, help="if the machine measures it"),
    View("Parameters", ("parameters",), "number", 0),
    View("mIoU last", ("miou_last_mean",), "number"),
    View("mIoU gained / hour", ("gain_per_hour",), "number", 1,
         help="difference to supervised, divided by the GPU hours of a run, or by its CPU hours without a GPU"),
    View("Device", ("device",)),
    LISTED,
    View("State", ("state",), "state"),
)  # fmt: skip


def build(records: Records) -> Table:
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for kind in (COMPARISON, *records.ablations):
        for cell in records.cells(kind):
            # A run that several tables show has cost once.
            seen.setdefault(tuple(run.row["run"] or id(cell) for run in cell.runs), _row(records, cell))
    rows = sorted(seen.values(), key=lambda row: (row["kind"] != COMPARISON, row["kind"],
                                                  partition_order(row), names.rank(row)))  # fmt: skip
    return Table(
        "cost",
        "Cost",
        "Time, memory and energy of a run, together with the runs that it learns from. Time and energy are means over "
        "the finished seeds, memory is the largest.",
        COLUMNS,
        tuple(view for view in VIEWS if view.title != STAGES or any((row["trainings"] or 1) > 1 for row in rows)),
        tuple(rows),
        f"{NOTE} {caution(rows)}".strip(),
    )


def _row(records: Records, cell: Cell) -> dict[str, Any]:
    chains = _chains(records, cell)
    row = {key: cell.row.get(key) for key in COLUMNS} | {"kind": cell.kind, "arm": cell.arm, "state": cell.state}
    row |= _spent(chains) | {
        "seeds": len(cell.finished),
        "trainings": max(map(len, chains), default=None),
        "parameters": next((record.get("parameters") for record, *_ in chains), None),
        "miou_last_mean": _mean(cell.values()),
        "device": ", ".join(sorted({device(record) for chain in chains for record in chain})),
        "reason": cell.reason,
    }
    own = _spent([chain[:1] for chain in chains])[clock(row)]
    per_iteration = own / cell.iterations if own and cell.iterations else None
    row["seconds_per_iteration"] = per_iteration
    row["milliseconds"] = 1000 * per_iteration if per_iteration else None
    row["energy_kilojoules"] = row["energy_joules"] / 1000 if row["energy_joules"] is not None else None
    row["gain_per_hour"] = _gain_per_hour(records, cell, row)
    baseline = records.baseline(cell)
    theirs = _spent(_chains(records, baseline)) if baseline else {}
    for name, key in (("time_ratio", clock(row)), ("memory_ratio", "peak_memory_mib")):
        row[name] = row[key] / theirs[key] if row[key] and theirs.get(key) else None
    return row


def _chains(records: Records, cell: Cell) -> list[list[dict[str, Any]]]:
    """Of each finished run its own record, and those of the runs that it needs, each once."""
    by_run = {row["run"]: row for row in records.rows}
    return [
        [run.record, *((by_run.get(one) or {}).get("record") or {} for one in _needed(run.row, by_run))]
        for run in cell.finished
        if run.record
    ]


def _needed(row: Mapping[str, Any], by_run: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found: dict[str, None] = {}
    for one in (row.get("needs") or {}).values():
        found |= dict.fromkeys([one, *_needed(by_run.get(one) or {}, by_run)])
    return list(found)


def _spent(chains: list[list[dict[str, Any]]]) -> dict[str, float | None]:
    """A sum is unknown if it is unknown for one of its trainings."""
    memory = [known for chain in chains for record in chain if (known := record.get("peak_memory_mib")) is not None]
    return {key: _mean([_sum([record.get(key) for record in chain]) for chain in chains]) for key in SUMS} | {
        "peak_memory_mib": max(memory, default=None)
    }


def _sum(values: list[Any]) -> float | None:
    return None if None in values else sum(values)


def _gain_per_hour(records: Records, cell: Cell, row: dict[str, Any]) -> float | None:
    """Difference to supervised per GPU hour if a GPU was used, otherwise per CPU hour."""
    baseline = records.baseline(cell)
    if baseline is None or cell.role == BASELINE or row["miou_last_mean"] is None:
        return None
    theirs = baseline.mean(cell.network)
    spent = row[clock(row)]
    return (row["miou_last_mean"] - theirs) / (spent / 3600) if theirs is not None and spent else None


def clock(*rows: Mapping[str, Any]) -> str:
    """The time by which trainings are compared: GPU time or else CPU time; wall time depends on other processes."""
    return "gpu_seconds" if all(row["gpu_seconds"] for row in rows) else "cpu_seconds"


def kind_of_time(rows: Iterable[Mapping[str, Any]]) -> str:
    """ "GPU" if every finished row of the table has GPU time, otherwise "CPU"."""
    return "GPU" if all(row["gpu_seconds"] for row in rows if row["seeds"]) else "CPU"


def spent(row: Mapping[str, Any], costs: Table) -> float | None:
    """Mean seconds of a training of a row of the comparison; over all its lists, if the row covers several."""
    kind, _, numbers = row["split_family"].partition(":")
    families = {row["split_family"], *(f"{kind}:{number}" for number in numbers.split(","))}
    same = [
        one for one in costs.rows
        if one["split_family"] in families
        and all(one[key] == row[key] for key in ("partition", "method", "variant", "head"))
    ]  # fmt: skip
    known = [one[clock(one)] for one in same if one[clock(one)]]
    return sum(known) / len(known) if known else None


def frontier(rows: Iterable[Mapping[str, Any]], spent: str) -> list[Mapping[str, Any]]:
    """Rows that gain more than every other row of the same or a lower cost, cheapest first; a baseline's gain is 0."""
    found: list[Mapping[str, Any]] = []
    for row in sorted((row for row in rows if row[spent]), key=lambda row: (row[spent], -_gain(row))):
        if not found or _gain(row) > _gain(found[-1]):
            found.append(row)
    return found


def _gain(row: Mapping[str, Any]) -> float:
    return row["delta_vs_supervised"] or 0.0


def caution(rows: Iterable[Mapping[str, Any]], partition: str | None = None) -> str:
    """A sentence if these rows of the table, or those with so many labels, are of several processors."""
    devices = [row["device"] for row in rows if row["device"] and partition in (None, str(row["partition"]))]
    found = sorted({one for listed in devices for one in listed.split(", ")})
    if len(found) < 2:
        return ""
    return f"Trainings ran on {names.joined(found)}, so times of different rows cannot be compared."


def device(record: dict[str, Any]) -> str:
    hardware = record.get("hardware") or {}
    return str(hardware.get("gpu") or hardware.get("cpu") or hardware.get("device") or "unknown")


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
