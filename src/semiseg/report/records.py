"""The lines of records.jsonl as runs and cells, and differences between cells that are fair to take."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.report import statistics
from semiseg.runs.evaluations import Evaluations

COMPARISON = "comparison"
SUPERVISED = "supervised"
FULL = "full"
# What rows of one table column have in common; nothing is subtracted across any of it.
SETTING = (
    "dataset",
    "split_family",
    "partition",
    "split_sha256",
    "head",
    "encoder",
    "output_stride",
    "crop",
    "iterations",
)


@dataclass(frozen=True)
class Run:
    """One line of records.jsonl and its folder, which may be gone: records alone are enough for most of a report."""

    row: Mapping[str, Any]
    folder: Path | None

    def __getattr__(self, name: str) -> Any:
        try:
            return self.row[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def done(self) -> bool:
        return self.state == "done" and self.eval is not None

    def rule(self, rule: str, network: str | None = None) -> Mapping[str, Any] | None:
        """The scores that a selection rule gives a network; None where there are none."""
        if not self.done:
            return None
        return self.eval["networks"].get(network or self.network, {}).get(rule)

    def miou(self, rule: str = "last", network: str | None = None) -> float | None:
        scores = self.rule(rule, network)
        return None if scores is None else scores["miou"]


@dataclass(frozen=True)
class Cell:
    """A place in a table: the runs of one method and variant on one split, one per seed."""

    kind: str
    arm: str
    order: int
    runs: tuple[Run, ...]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runs[0], name)

    @property
    def setting(self) -> tuple[str, ...]:
        return tuple(str(getattr(self, key)) for key in SETTING)

    @property
    def finished(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.done)

    @property
    def state(self) -> str:
        states = {run.state for run in self.runs}
        if len(self.finished) == len(self.runs):
            return "done"
        if states == {"not_applicable"}:
            return "not_applicable"
        if self.finished:
            return "partial"
        if "running" in states:
            return "running"
        return "failed" if "failed" in states else "missing"

    @property
    def reason(self) -> str:
        """Why there is no figure, in the words of the first run that says so."""
        for run in self.runs:
            error = (run.record or {}).get("error")
            if error:
                return str(error.get("message", error)) if isinstance(error, Mapping) else str(error)
            if run.row.get("reason"):
                return run.row["reason"]
        return ""

    def values(self, rule: str = "last", network: str | None = None) -> list[float]:
        found = (run.miou(rule, network) for run in self.finished)
        return [value for value in found if value is not None]


@dataclass(frozen=True)
class Bootstrap:
    """The bootstrap distribution of one network's mIoU, centred, and the set of images that it was drawn from."""

    identity: tuple[Any, ...]
    units: int
    centred: np.ndarray


@dataclass
class Records:
    """All runs of a suite; keeps each network's bootstrap distribution, which every difference uses again."""

    suite: str
    folder: Path
    rows: Sequence[Mapping[str, Any]]
    resamples: int = statistics.RESAMPLES

    def __post_init__(self) -> None:
        if not self.rows:
            raise UserError(f"suite {self.suite!r} has no records: its plan holds no run")
        self.runs = tuple(Run(row, self.folder / row["run"] if row["run"] else None) for row in self.rows)
        self.block = self.rows[0].get("block")
        self.bootstrap = functools.cache(self._bootstrap)
        self.covariance = functools.cache(self._covariance)
        self.cells = functools.cache(self._cells)

    def _cells(self, kind: str = COMPARISON) -> tuple[Cell, ...]:
        """The cells of a table in the order of the plan, whatever has become of their runs."""
        places: dict[tuple[Any, ...], list[Run]] = {}
        order: dict[tuple[Any, ...], tuple[int, str]] = {}
        for run in self.runs:
            for shown in run.cells or ():
                if shown["kind"] == kind:
                    key = (
                        *(str(run.row.get(name)) for name in (*SETTING, "method", "variant", "network")),
                        shown["arm"],
                    )
                    places.setdefault(key, []).append(run)
                    order.setdefault(key, (shown.get("order", 0), str(shown["arm"])))
        cells = [
            Cell(kind, order[key][1], order[key][0], tuple(sorted(runs, key=lambda run: run.seed or 0)))
            for key, runs in places.items()
        ]
        return tuple(sorted(cells, key=lambda cell: (cell.order, cell.setting, cell.method, cell.variant)))

    @property
    def ablations(self) -> list[str]:
        """Names of the ablations, in the order of the plan."""
        first: dict[str, int] = {}
        for run in self.runs:
            for shown in run.cells or ():
                first[shown["kind"]] = min(first.get(shown["kind"], 10**9), shown.get("order", 0))
        return sorted((kind for kind in first if kind != COMPARISON), key=lambda kind: (first[kind], kind))

    def title(self, ablation: str) -> str:
        shown = (shown for run in self.runs for shown in run.cells or () if shown["kind"] == ablation)
        return next((one["title"] for one in shown if one.get("title")), "")

    def baseline(self, cell: Cell) -> Cell | None:
        """The supervised cell that a difference of `cell` may be taken to: same split, same head, same recipe."""
        for other in self.cells():
            if is_baseline(other) and other.setting == cell.setting:
                return other
        return None

    def difference(self, ours: Cell, theirs: Cell, network: str | None = None) -> statistics.Interval | None:
        """mIoU of `ours` minus `theirs` after the last iteration, seed by seed and image by image."""
        return self.contrast([(1.0, ours), (-1.0, theirs)], network or ours.network)

    def contrast(self, terms: Iterable[tuple[float, Cell]], network: str) -> statistics.Interval | None:
        """A weighted sum of cells, paired by seed; None when they have no finished seed in common."""
        weights, cells = zip(*terms, strict=True)
        by_seed = [{run.seed: run for run in cell.finished if run.miou("last", network) is not None} for cell in cells]
        seeds = sorted(set.intersection(*(set(runs) for runs in by_seed)))
        if not seeds:
            return None
        runs = [[of_cell[seed] for of_cell in by_seed] for seed in seeds]
        values = [sum(w * run.miou("last", network) for w, run in zip(weights, row, strict=True)) for row in runs]
        known = [self.bootstrap(run.folder, network) for row in runs for run in row]
        if any(one is None or one.identity != known[0].identity for one in known) or known[0].units < 2:
            return statistics.over_seeds(values)
        pairs = [[self._weighted(weights, one, other, network) for other in runs] for one in runs]
        return statistics.over_both(values, np.array(pairs), known[0].units)

    def _weighted(self, weights: Sequence[float], one: Sequence[Run], other: Sequence[Run], network: str) -> float:
        """Covariance of the weighted sums of two seeds."""
        return sum(
            v * w * self.covariance(*sorted((a.folder, b.folder)), network)
            for v, a in zip(weights, one, strict=True)
            for w, b in zip(weights, other, strict=True)
        )

    def _covariance(self, one: Path, other: Path, network: str) -> float:
        ours, theirs = self.bootstrap(one, network).centred, self.bootstrap(other, network).centred
        return float(ours @ theirs) / (len(ours) - 1)

    def _bootstrap(self, folder: Path, network: str) -> Bootstrap | None:
        """None where the run's folder is not at hand: then only seeds can be spoken for."""
        path = folder / "evaluations.npz"
        if not path.exists():
            return None
        evaluations = Evaluations.load(path)
        name = files.read_json(folder / "eval.json")["evaluated_on"]
        groups = evaluations.groups.get(name)
        images = statistics.ingredients(evaluations.confusion(name, network, -1))
        units = statistics.by_group(images, groups, self.block)
        resampled = statistics.resampled_miou(units, self.resamples)
        identity = (tuple(evaluations.images[name]), tuple(groups or ()), self.block)
        return Bootstrap(identity, len(units), resampled - resampled.mean())


def is_baseline(cell: Cell | Mapping[str, Any]) -> bool:
    """Supervised as it comes, or with nothing changed but the head: each head has a baseline of its own."""
    row = cell.row if isinstance(cell, Cell) else cell
    return row["method"] == SUPERVISED and row["variant"] in ("default", f"head={row['head']}")


def mean_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """With one seed there is no standard deviation."""
    if not values:
        return None, None
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def crop_text(crop: Any) -> str:
    """ "321" or "512x1024"."""
    if crop is None:
        return ""
    sides = list(crop) if isinstance(crop, list | tuple) else [crop, crop]
    return str(sides[0]) if sides[0] == sides[1] else "x".join(map(str, sides))


def partition_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Smaller partitions first, `full` last; those without a list, where nothing can be trained yet, before it."""
    name, size = str(row.get("partition")), row.get("labelled")
    listed = size is not None
    if not listed:
        size = Fraction(name) if re.fullmatch(r"\d+(/[1-9]\d*)?", name) else float("inf")
    return (name == FULL, not listed, size, name)
