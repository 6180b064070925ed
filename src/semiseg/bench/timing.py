"""Measures times; rows hold n, median, spread and hardware."""

from __future__ import annotations

import csv
import io
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from semiseg.base import files
from semiseg.hardware.device import cpu_name

TURN = 0.2  # seconds


def alternate(
    functions: Sequence[Callable[[], object]], seconds: float, device: torch.device | str = "cpu", least: int = 5
) -> list[list[float]]:
    """Seconds of each call; the functions take turns for about `seconds` in all.

    With turns, other load on a shared machine affects all functions equally. A turn has several calls, because in
    real use each function has warm caches. On a CPU the thread's CPU time counts, so waiting for a busy core does not
    count. On a GPU the wall-clock time until the device is done counts.
    """
    measured: list[list[float]] = [[] for _ in functions]
    for function in functions:  # page cache, allocators, caches of constants
        _timed(function, device)
    end = time.monotonic() + seconds
    while len(measured[0]) < least or time.monotonic() < end:
        for function, times in zip(functions, measured, strict=True):
            turn = time.monotonic() + TURN
            times.append(_timed(function, device))
            while time.monotonic() < turn:
                times.append(_timed(function, device))
    return measured


def _timed(function: Callable[[], object], device: torch.device | str) -> float:
    if torch.device(device).type == "cpu":
        start = time.thread_time()
        function()
        return time.thread_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    function()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def row(case: str, what: str, seconds: Sequence[float], items: int, **more: Any) -> dict[str, Any]:
    """One line of a result: milliseconds per item, with the quartiles over calls as spread."""
    milliseconds = [1000 * second / items for second in seconds]
    low, median, high = statistics.quantiles(milliseconds, n=4) if len(milliseconds) > 1 else [milliseconds[0]] * 3
    figures = {"median_ms": median, "quartile_low_ms": low, "quartile_high_ms": high}
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    return {"case": case, "what": what, "n": len(milliseconds), "items_per_call": items} | rounded | more


def result(benchmark: str, rows: list[dict[str, Any]], device: torch.device | str = "cpu") -> dict[str, Any]:
    import cv2
    import numpy
    import PIL

    on_gpu = torch.device(device).type == "cuda"
    return {
        "benchmark": benchmark,
        "hardware": {
            "cpu": cpu_name(),
            "gpu": torch.cuda.get_device_name(device) if on_gpu else None,
            "threads": torch.get_num_threads(),
        },
        "clock": "wall clock until the device is done" if on_gpu else "CPU time of one thread",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "opencv": cv2.__version__,
            "pillow": PIL.__version__,
        },
        "rows": rows,
    }


def _columns(outcome: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for line in outcome["rows"] for name in line))


def table(outcome: dict[str, Any]) -> str:
    """The rows as readable text, with hardware and versions."""
    names = _columns(outcome)
    lines = [names] + [[_shown(line.get(name)) for name in names] for line in outcome["rows"]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    text = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    hardware = ", ".join(f"{name} {value}" for name, value in outcome["hardware"].items() if value is not None)
    versions = ", ".join(f"{name} {value}" for name, value in outcome["versions"].items())
    return f"bench {outcome['benchmark']}: {hardware}; {outcome['clock']}\n{versions}\n\n{text}\n"


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def write_csv(outcome: dict[str, Any], folder: Path | str) -> Path:
    """FOLDER/<benchmark>-<hardware>.csv, hardware and versions in every row; rows of other cases are kept."""
    hardware = outcome["hardware"]
    path = Path(folder) / f"{outcome['benchmark']}-{slug(hardware['gpu'] or hardware['cpu'])}.csv"
    fixed = {key: value for key, value in hardware.items() if value is not None} | outcome["versions"]
    fixed["clock"] = outcome["clock"]
    measured = {row["case"] for row in outcome["rows"]}
    kept = [row for row in _read_csv(path) if row["case"] not in measured]
    names = dict.fromkeys([*_columns(outcome), *(name for row in kept for name in row if name not in fixed), *fixed])
    files.write_text(path, csv_text([*kept, *(row | fixed for row in outcome["rows"])], list(names)))
    return path


def csv_text(rows: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None) -> str:
    """Write a CSV file; by default the columns are the keys of all rows."""
    buffer = io.StringIO()
    every = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(buffer, names or list(every), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def slug(hardware: str) -> str:
    """The name of the hardware as a part of a path."""
    return re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-")


def _read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text()))) if path.exists() else []
