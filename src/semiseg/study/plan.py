"""The plan of a suite: its trainings, and the cells of its tables that they fill."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semiseg.splits.families import split_name

RESULTS = Path("results")
TUNED = "tuned"  # the variant with the setting of the best trial


@dataclass(frozen=True)
class Run:
    """One training: a cell of a table with one seed."""

    suite: str
    dataset: str
    family: str
    partition: str
    method: str
    variant: str
    options: dict[str, Any]
    seed: int
    config: dict[str, Any] = field(repr=False)
    trial: int | None = None  # number among the trials of the method's tuning
    # what a trial, or the best trial, changes in the default setting
    setting: dict[str, Any] = field(default_factory=dict)
    tuned_by: Path | None = None  # the file that names the best trial, whose setting this run takes
    twin: Path | None = None  # the run that equals this run if the default setting was best
    needs: Mapping[str, Run] = field(default_factory=dict, repr=False)  # runs that must be finished before

    @functools.cached_property
    def split(self) -> str:
        return split_name(self.family, self.partition)

    @functools.cached_property
    def path(self) -> Path:
        return RESULTS / self.suite / "runs" / self.name

    @property
    def recipe(self) -> dict[str, Any]:
        return self.config["recipe"]

    @property
    def iterations(self) -> int:
        return self.recipe["iterations"]

    @functools.cached_property
    def name(self) -> str:
        return f"{self.dataset}/{self.split}/{self.method}/{self.variant}/seed{self.seed}"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it shows, and the runs (one per seed) that fill it."""

    kind: str  # "comparison", or the name of an ablation
    arm: str
    method: str
    variant: str
    family: str
    partition: str
    options: dict[str, Any]
    runs: tuple[Run, ...]
    reason: str = ""  # why the cell does not apply, when it has no runs

    @property
    def recipe(self) -> dict[str, Any] | None:
        return self.runs[0].recipe if self.runs else None


@dataclass(frozen=True)
class Plan:
    suite: str
    runs: tuple[Run, ...]
    cells: tuple[Cell, ...]

    @property
    def trials(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.trial is not None)


def tuning_file(suite: str, method: str) -> Path:
    return RESULTS / suite / "tuning" / f"{method}.json"
