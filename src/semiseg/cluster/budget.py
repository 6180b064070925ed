"""The past and future cost of a study: hours, disk and jobs; measured if a similar run is finished, else estimated."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.base.files import peek_json
from semiseg.cluster import estimate
from semiseg.cluster.resources import Resources

if TYPE_CHECKING:
    from semiseg.study.study import Study

AFFECTS_RESULTS = False

LIKE = ("network", "crop", "batch", "gpus")  # runs of a method that agree in these keys take equal time per step


@dataclass(frozen=True)
class Cost:
    """The cost of one run."""

    seconds: float
    bytes: int
    source: str  # "measured" or "estimate"
    on_gpu: int  # GPUs held for these seconds; 0 means CPU time


def of_runs(study: Study, fresh: Iterable[Path], device: str = estimate.REFERENCE) -> dict[Path, Cost]:
    """The cost of every run of the plan; `fresh`: the finished runs, whose records hold measured times."""
    finished = {path: _record(path) for path in fresh}
    by_likeness = defaultdict(list)
    for run in study.plan.runs:
        if finished.get(run.path):
            by_likeness[_likeness(run.config)].append((finished[run.path], _size(run.path)))
    return {run.path: _cost(run.config, by_likeness[_likeness(run.config)], device) for run in study.plan.runs}


def _cost(config: dict[str, Any], alike: Sequence[tuple[dict[str, Any], int]], device: str) -> Cost:
    gpus = 0 if device == estimate.CPU else estimate.gpus(config)
    if not alike:
        return Cost(estimate.run_seconds(config, device, as_found=True), estimate.run_bytes(config), "estimate", gpus)
    seconds = sum(record["wall_seconds"] for record, _ in alike) / len(alike)
    gpus = gpus if any(record["gpu_seconds"] for record, _ in alike) else 0
    return Cost(seconds, sum(size for _, size in alike) // len(alike), "measured", gpus)


def jobs(asked: Sequence[Resources], group_size: int) -> int:
    """Number of Slurm jobs for these runs."""
    short = sum(one.short for one in asked)
    return len(asked) - short + math.ceil(short / group_size)


def days(seconds: Sequence[float], slots: int) -> float:
    """Wall-clock days on this number of devices; the longest remaining run always goes to the first free device."""
    free = [0.0] * slots
    for one in sorted(seconds, reverse=True):
        free[free.index(min(free))] += one
    return max(free) / 86400


def _likeness(config: dict[str, Any]) -> str:
    recipe = config["recipe"]
    # The FLOPs separate runs with different heads, and runs with and without unlabelled images.
    parts = [config["method"]["name"], config["dataset"]["name"], recipe["iterations"], config["evaluation"]]
    parts.append(estimate.step_gflops(config))
    return json.dumps([*parts, *(recipe[key] for key in LIKE)], sort_keys=True)


def _record(path: Path) -> dict[str, Any] | None:
    record = peek_json(path / "record.json") or {}
    return record if record.get("wall_seconds") else None


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir() if file.name != "checkpoint.pt")
