"""Reads metrics.jsonl after a training: the lines of one kind, and thinned-out losses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

AFFECTS_RESULTS = False

Point = tuple[int, float]  # iteration, value
POINTS = 100  # points of each loss that a suite keeps


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The lines of one kind of a run; empty if the log is missing."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    mark = f'"{kind}"'
    found = (json.loads(line) for line in path.read_text().splitlines() if mark in line)
    latest = {(line["iteration"], line.get("set"), line.get("network")): line for line in found if line["kind"] == kind}
    return list(latest.values())  # a resumed training logs some iterations twice; the later line counts


def losses(folder: Path, most: int = POINTS) -> dict[str, list[Point]]:
    """(iteration, value) of every named loss; more than `most` points are replaced by means of neighbours."""
    found: dict[str, list[Point]] = {}
    for line in lines(folder, "train"):
        for name, value in line["losses"].items():
            found.setdefault(name, []).append((line["iteration"], value))
    return {name: thin(points, most) for name, points in found.items()}


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points; each is the mean of several neighbours, at the iteration of the last of them."""
    size = -(-len(points) // most)
    groups = [points[start : start + size] for start in range(0, len(points), size or 1)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]
