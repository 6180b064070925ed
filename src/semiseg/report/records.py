"""All runs of a suite, and the differences between its cells that are fair to take."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.base.errors import UserError
from semiseg.base.files import sha256_bytes
from semiseg.report import statistics
from semiseg.report.cells import BASELINE, COMPARISON, FULL, SETTING, STRONG, Cell, Run
from semiseg.runs import suite_evaluations, units
from semiseg.runs.suite_evaluations import StoredRun
from semiseg.scoring import metric as metrics
from semiseg.scoring.class_iou import ClassIou

MIOU = "miou"
CLASSES = "class_iou"


def of_class(number: int) -> str:
    """The name of the metric that is one class's IoU."""
    return f"{CLASSES}:{number}"


@dataclass(frozen=True)
class Bootstrap:
    """The bootstrap distribution of one network's score, centred, and the set of images that it was drawn from."""

    identity: tuple[Any, ...]
    units: int
    centred: np.ndarray


class Records:
    """Reads the lines of records.jsonl and the stored evaluations beside it, and nothing else."""

    def __init__(
        self,
        suite: str,
        folder: Path,
        rows: Sequence[Mapping[str, Any]],
        resamples: int = statistics.RESAMPLES,
        like: Records | None = None,
    ) -> None:
        """`like`: other records of the same file, whose stored evaluations and bootstrap distributions are shared."""
        if not rows:
            raise UserError(f"suite {suite!r} has no records: its plan holds no run")
        self.suite, self.folder, self.rows, self.resamples = suite, Path(folder), rows, resamples
        self.stored = self._read() if like is None else like.stored
        self._drawn: dict[Any, Any] = {} if like is None else like._drawn
        self.runs = tuple(
            Run(row, self.folder / row["run"] if row["run"] else None, self.stored.get(row["run"])) for row in rows
        )
        self.block = rows[0].get("block")
        self.value = functools.cache(self._value)
        self.cells = functools.cache(self._cells)
        self.over_lists = functools.cache(self._over_lists)

    def _read(self) -> Mapping[str, StoredRun]:
        """Without stored evaluations only seeds can be spoken for."""
        path = self.folder / suite_evaluations.NAME
        return suite_evaluations.read(path) if path.exists() else {}

    def _cells(self, kind: str = COMPARISON) -> tuple[Cell, ...]:
        """The cells of a table in the order of the plan, whatever has become of their runs."""
        places: dict[tuple[Any, ...], list[Run]] = {}
        order: dict[tuple[Any, ...], tuple[int, str]] = {}
        for run in self.runs:
            for shown in run.cells or ():
                if shown["kind"] == kind:
                    key = (
                        *(str(run.row.get(name)) for name in (*SETTING, "method", "variant", "network", "source")),
                        shown["arm"],
                    )
                    places.setdefault(key, []).append(run)
                    order.setdefault(key, (shown.get("order", 0), str(shown["arm"])))
        cells = [
            Cell(
                kind,
                order[key][1],
                order[key][0],
                tuple(sorted(runs, key=lambda run: (str(run.drawn[0]), run.seed or 0))),
            )
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

    def of_ablation(self, name: str) -> Records:
        """These records, with all lists as one split if the ablation's arms are trained on several lists."""
        several = len({cell.split_family for cell in self.cells(name)}) > 1
        return (self.over_lists() if several else None) or self

    def title(self, ablation: str) -> str:
        shown = (shown for run in self.runs for shown in run.cells or () if shown["kind"] == ablation)
        return next((one["title"] for one in shown if one.get("title")), "")

    # ---------------------------------------------------------------- what a cell may be compared with

    def baseline(self, cell: Cell) -> Cell | None:
        """The supervised cell that a difference of `cell` may be taken to: same split, same head, same recipe.

        A strong variant may have a longer schedule: that is what the difference is about.
        """
        known = [other for other in self.cells() if other.role == BASELINE]
        same = [other for other in known if other.setting == cell.setting]
        longer = [other for other in known if cell.role == STRONG and _alike(other, cell)]
        return next(iter(same + longer), None)

    def strong(self, cell: Cell) -> Cell | None:
        """The best supervised cell of the split and head, longer schedules allowed; None without a strong variant.

        It is the best by the very scores that are compared, which favours it: a method's lead over it is not flattered.
        """
        known = [other for other in self.cells() if other.role in (BASELINE, STRONG) and _alike(other, cell)]
        scored = [(mean, other) for other in known if (mean := other.mean(cell.network)) is not None]
        if all(other.role == BASELINE for _, other in scored):
            return None
        return max(scored, key=lambda pair: pair[0])[1]

    def all_labels(self, cell: Cell) -> Cell | None:
        """The baseline with all labels, of the cell's head and recipe."""
        keys = [key for key in SETTING if key not in ("split_family", "partition", "split_sha256")]
        for other in self.cells():
            if other.role == BASELINE and other.partition == FULL and _alike(other, cell, keys):
                return other
        return None

    def _over_lists(self) -> Records | None:
        """The same runs with all lists of one kind as one split; None where no partition has several lists."""
        drawn: dict[tuple[str, str], dict[str, str]] = {}
        for run in self.runs:
            if run.split_sha256:
                drawn.setdefault(_drawn_like(run), {})[run.split_family] = run.split_sha256
        several = {key: lists for key, lists in drawn.items() if len(lists) > 1}
        rows = [
            _pooled(run, several[_drawn_like(run)]) if _drawn_like(run) in several else run.row for run in self.runs
        ]
        return Records(self.suite, self.folder, rows, self.resamples, self) if several else None

    # ---------------------------------------------------------------- differences

    def difference(
        self, ours: Cell, theirs: Cell, network: str | None = None, metric: str = MIOU
    ) -> statistics.Interval | None:
        """Score of `ours` minus `theirs` after the last iteration, seed by seed and image by image."""
        return self.contrast([(1.0, ours), (-1.0, theirs)], network or ours.network, metric)

    def contrast(
        self, terms: Iterable[tuple[float, Cell]], network: str, metric: str = MIOU
    ) -> statistics.Interval | None:
        """A weighted sum of cells, paired by list and seed; None when they have no finished pair in common."""
        weights, cells = zip(*terms, strict=True)
        drawn = self.in_common(cells, network, metric)
        if not drawn:
            return None
        by_draw = [{run.drawn: run for run in cell.finished} for cell in cells]
        runs = [[of_cell[one] for of_cell in by_draw] for one in drawn]
        values = [
            sum(w * self.value(run, network, metric) for w, run in zip(weights, row, strict=True)) for row in runs
        ]
        known = [self.bootstrap(run, network, metric) for row in runs for run in row]
        if any(one is None or one.identity != known[0].identity for one in known) or known[0].units < 2:
            return statistics.over_trainings(values, drawn) or statistics.alone(values[0])
        pairs = [[self._weighted(weights, one, other, network, metric) for other in runs] for one in runs]
        return statistics.over_all(values, np.array(pairs), known[0].units, drawn)

    def in_common(self, cells: Iterable[Cell], network: str, metric: str = MIOU) -> list[tuple[Any, Any]]:
        """(list, seed) of the runs that all the cells have finished."""
        found = [{run.drawn for run in cell.finished if self.value(run, network, metric) is not None} for cell in cells]
        return sorted(set.intersection(*found), key=str)

    def paired(self, cell: Cell, other: Cell, network: str) -> list[float]:
        """mIoU of each training minus that of the other cell with the same list and seed."""
        scores = [{run.drawn: run.miou("last", network) for run in one.finished} for one in (cell, other)]
        return [scores[0][drawn] - scores[1][drawn] for drawn in self.in_common((cell, other), network)]

    def _weighted(self, weights: Sequence[float], one: Sequence[Run], other: Sequence[Run], *of: str) -> float:
        """Covariance of the weighted sums of two trainings."""
        return sum(
            v * w * self.covariance(a, b, *of)
            for v, a in zip(weights, one, strict=True)
            for w, b in zip(weights, other, strict=True)
        )

    def _value(self, run: Run, network: str, metric: str) -> float | None:
        """A metric of a run after the last iteration; None where it has not been measured."""
        if metric == MIOU:
            return run.miou("last", network)
        if metric.startswith(CLASSES):
            scores = run.rule("last", network)
            return scores and scores["per_class"][_number(metric)]
        measured = metrics.REGISTRY.load(metric)
        counts = run.counts(measured.needs, network)
        return None if counts is None else measured.value(counts)

    def bootstrap(self, run: Run, network: str, metric: str) -> Bootstrap | None:
        """None where the run's counts are not stored. Every difference uses each distribution again."""
        key = (run.stored, network, metric)
        if key not in self._drawn:
            self._drawn[key] = self._bootstrap(run, network, metric)
        return self._drawn[key]

    def _bootstrap(self, run: Run, network: str, metric: str) -> Bootstrap | None:
        if metric.startswith(f"{CLASSES}:"):  # all classes are drawn at once
            whole = self.bootstrap(run, network, CLASSES)
            return whole and replace(whole, centred=whole.centred[:, _number(metric)])
        measured = ClassIou if metric == CLASSES else metrics.REGISTRY.load(metric)
        counts = run.counts(measured.needs, network)
        if counts is None:
            return None
        images, groups = run.stored.images, run.stored.groups
        resamples = self.resamples if metric == MIOU else min(self.resamples, statistics.FEWER)
        table = measured.table(counts)
        if measured.needs == "confidence":
            unit_of = np.arange(len(counts))  # stored by unit, not by image
        else:
            unit_of = units.of_images(len(counts), groups, self.block)
        drawn = statistics.resampled(lambda weights: measured.score(weights, table), unit_of, resamples)
        return Bootstrap((tuple(images), tuple(groups or ())), int(unit_of.max()) + 1, drawn - drawn.mean(0))

    def covariance(self, one: Run, other: Run, network: str, metric: str) -> float:
        key = (frozenset((one.stored, other.stored)), network, metric)
        if key not in self._drawn:
            ours, theirs = (self.bootstrap(run, network, metric).centred for run in (one, other))
            self._drawn[key] = float(ours @ theirs) / (len(ours) - 1)
        return self._drawn[key]


def _number(metric: str) -> int:
    return int(metric.partition(":")[2])


def _alike(one: Cell, other: Cell, keys: Iterable[str] = SETTING) -> bool:
    """In all of the setting but the length of the schedule."""
    same = all(str(one.row[key]) == str(other.row[key]) for key in keys if key != "iterations")
    return same and one.source == other.source


def _drawn_like(run: Run) -> tuple[str, str]:
    """Kind of the family, and partition: the lists of such runs are draws of the same thing."""
    return run.split_family.partition(":")[0], str(run.partition)


def _pooled(run: Run, lists: Mapping[str, str]) -> dict[str, Any]:
    kind = _drawn_like(run)[0]
    numbers = ",".join(family.partition(":")[2] for family in sorted(lists))
    return {
        **run.row,
        "list": run.split_family,
        "split_family": f"{kind}:{numbers}",
        "split_sha256": sha256_bytes(" ".join(lists[family] for family in sorted(lists)).encode()),
    }
