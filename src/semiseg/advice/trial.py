"""A finished trial: scores of each method on the validation images, and intervals of differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.files import peek_json
from semiseg.report import statistics
from semiseg.report.statistics import Interval
from semiseg.runs import units
from semiseg.runs.evaluations import Evaluations
from semiseg.runs.run_folder import RunFolder
from semiseg.scoring.metrics.miou import Miou
from semiseg.scoring.selection import mean_iou
from semiseg.splits.families import FULL
from semiseg.study.plan import Cell
from semiseg.study.study import Study

AFFECTS_RESULTS = False

BASELINE = "supervised"
Scored = tuple[float, np.ndarray]
Drawn = tuple[str, int]  # family of the list, and seed


@dataclass(frozen=True)
class Result:
    """One method at one partition, with all lists and seeds."""

    method: str
    variant: str
    partition: str
    labelled: int
    unlabelled: int
    network: str
    seconds: float  # mean over trainings
    evaluations: tuple[Evaluations, ...] = field(repr=False)
    runs: tuple[Path, ...] = field(repr=False)
    drawn: tuple[Drawn, ...]

    @property
    def name(self) -> str:
        return self.method if self.variant == "default" else f"{self.method} ({self.variant})"

    def confusion(self, on: str, network: str | None = None) -> list[np.ndarray]:
        """For each seed, int64 [images, K, K] of the last evaluation."""
        return [one.confusion(on, network or self.network, -1) for one in self.evaluations]

    def miou(self, on: str) -> float:
        return float(np.mean([mean_iou(one.sum(0)) for one in self.confusion(on)]))


@dataclass(frozen=True)
class Trial:
    study: Study
    results: tuple[Result, ...]
    on: str
    classes: tuple[str, ...]
    planned: int
    finished: int

    def at(self, partition: str) -> list[Result]:
        return [one for one in self.results if one.partition == partition]

    @property
    def all_labelled(self) -> bool:
        """Has every image of the data set a mask?"""
        return any(one.partition == "full" and not one.unlabelled for one in self.results)

    @property
    def images(self) -> int:
        return len(self.results[0].evaluations[0].images[self.on])

    @property
    def unit_of(self) -> np.ndarray:
        """The bootstrap group of each validation image; images of a group depend on each other."""
        evaluations = self.results[0].evaluations[0]
        return units.of_images(self.images, evaluations.groups.get(self.on), self.study.suite.block)

    @property
    def units(self) -> int:
        return int(self.unit_of.max()) + 1

    def difference(self, one: Result, other: Result) -> Interval:
        """Difference in mIoU between students or teachers, paired by list and seed."""
        pairs = self.pairs(one, other)
        if not pairs:
            raise UserError(
                f"{one.name} and {other.name} have no finished training with the same seed; "
                f"`snakemake --profile local all --config suite={self.study.name}` trains what is missing"
            )
        values = [ours[0] - theirs[0] for ours, theirs in pairs.values()]
        if self.units < 2:
            return statistics.over_trainings(values, list(pairs)) or statistics.alone(values[0])
        draws = np.stack([ours[1] - theirs[1] for ours, theirs in pairs.values()])
        return statistics.over_all(values, np.atleast_2d(np.cov(draws)), self.units, list(pairs))

    def pairs(self, one: Result, other: Result) -> dict[Drawn, tuple[Scored, Scored]]:
        """Of each list and seed that both have, mIoU of both, and the bootstrap distribution over validation images."""
        network = one.network if one.network in other.evaluations[0].networks else other.network
        ours = dict(zip(one.drawn, one.confusion(self.on), strict=True))
        theirs = dict(zip(other.drawn, other.confusion(self.on, network), strict=True))
        pairs = {drawn: (_of(ours, drawn), _of(theirs, drawn)) for drawn in dict.fromkeys([*ours, *theirs])}
        known = {drawn: pair for drawn, pair in pairs.items() if pair[0] is not None and pair[1] is not None}
        return {drawn: (self._scored(first), self._scored(second)) for drawn, (first, second) in known.items()}

    def _scored(self, confusion: np.ndarray) -> Scored:
        return mean_iou(confusion.sum(0)), statistics.resampled(_score(confusion), self.unit_of)


def _of(found: Mapping[Drawn, np.ndarray], drawn: Drawn) -> np.ndarray | None:
    """With all labels there is one list, which is the partner of every other."""
    return found.get(drawn, found.get((FULL, drawn[1])))


def _score(confusion: np.ndarray) -> statistics.Score:
    """mIoU of a bootstrap sample: each image counts as often as it was drawn."""
    table = Miou.table(confusion)
    return lambda counts: Miou.score(counts, table)


def load(name: str) -> Trial:
    """The study of the suite NAME_try, or of NAME itself."""
    from semiseg.params import loading

    suites = loading.load().suites
    study = Study.load(f"{name}_try" if f"{name}_try" in suites else name)
    places: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in study.plan.cells:
        if cell.kind == "comparison" and cell.runs:
            places.setdefault((cell.method, cell.variant, cell.partition), []).append(cell)
    results = [found for cells in places.values() if (found := result_of(study, cells))]
    planned = sum(len(cell.runs) for cells in places.values() for cell in cells)
    finished = sum(len(one.runs) for one in results)
    if not any(one.method == BASELINE for one in results):
        raise UserError(
            f"the suite {study.name} has no finished supervised run to compare with; "
            f"`snakemake --profile local all --config suite={study.name}` trains what is missing"
        )
    first = results[0].evaluations[0]
    return Trial(study, tuple(results), study.suite.evaluation.evaluated_on, tuple(first.classes), planned, finished)


def result_of(study: Study, cells: Sequence[Cell]) -> Result | None:
    """Of the cells of all lists."""
    runs = [run for cell in cells for run in cell.runs]
    done = [run for run in runs if (run.path / "evaluations.npz").exists() and RunFolder(run.path).spec]
    if not done:
        return None
    cell, split = cells[0], peek_json(study.specs.split_file(done[0])) or {}
    seconds = [(RunFolder(run.path).record or {}).get("wall_seconds") or 0.0 for run in done]
    return Result(
        cell.method, cell.variant, cell.partition, len(split.get("labelled", ())),
        len(split.get("unlabelled", ())) + study.specs.extra_images(study.suite.dataset),
        methods.of_run(done[0].config).reports, float(np.mean(seconds)),
        tuple(Evaluations.load(run.path / "evaluations.npz") for run in done), tuple(run.path for run in done),
        tuple((FULL if run.partition == FULL else run.family, run.seed) for run in done),
    )  # fmt: skip


def best(results: Sequence[Result], on: str) -> Result:
    return max(results, key=lambda one: (one.miou(on), one.name))
