"""Runs and cells: the lines of records.jsonl, and the places in a table that they fill."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from semiseg.runs.suite_evaluations import StoredRun

COMPARISON = "comparison"
SUPERVISED = "supervised"
FULL = "full"
BASELINE, STRONG, METHOD, CONTROL = "baseline", "strong", "method", "control"
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

T = TypeVar("T")


class Column(Generic[T]):
    """A typed entry of the row that an object carries."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, thing: Any, owner: type) -> T:
        return thing.row[self.name]


class Described:
    """What the plan says of a run; a cell has it from its first run."""

    row: Mapping[str, Any]

    dataset = Column[str]()
    split = Column[str]()
    split_family = Column[str]()
    partition = Column[str]()
    split_sha256 = Column[str | None]()
    labelled = Column[int | None]()
    unlabelled = Column[int | None]()
    method = Column[str]()
    variant = Column[str]()
    options = Column[Mapping[str, Any] | None]()
    head = Column[str]()
    network = Column[str]()
    architecture = Column[str]()
    encoder = Column[str]()
    output_stride = Column[int | None]()
    crop = Column[Any]()
    iterations = Column[int]()

    @property
    def role(self) -> str:
        """Controls test a method and are no result; supervised variants other than the baseline are strong ones."""
        if (self.options or {}).get("control", "none") != "none":
            return CONTROL
        if self.method != SUPERVISED:
            return METHOD
        own = self.variant.removesuffix(f"from {self.source}").strip() if self.source else self.variant
        return BASELINE if own in ("", "default", f"head={self.head}") else STRONG

    @property
    def source(self) -> str | None:
        """Whom it was collected from; None for what is planned here."""
        return self.row.get("source")


@dataclass(frozen=True, eq=False)
class Run(Described):
    """One line of records.jsonl; its folder may be missing, because records and stored evaluations are enough."""

    row: Mapping[str, Any]
    folder: Path | None
    stored: StoredRun | None = None

    run = Column[str | None]()
    seed = Column[int | None]()
    state = Column[str]()
    eval = Column[Mapping[str, Any] | None]()
    record = Column[Mapping[str, Any] | None]()
    cells = Column[Sequence[Mapping[str, Any]]]()

    @property
    def done(self) -> bool:
        return self.state == "done" and self.eval is not None

    @property
    def drawn(self) -> tuple[Any, Any]:
        """(list, seed): runs of two methods that agree in both are a pair. The list counts where a cell has several."""
        return self.row.get("list"), self.seed

    def rule(self, rule: str, network: str | None = None) -> Mapping[str, Any] | None:
        """The scores that a selection rule gives a network; None where there are none."""
        if not self.done:
            return None
        return self.eval["networks"].get(network or self.network, {}).get(rule)

    def miou(self, rule: str = "last", network: str | None = None) -> float | None:
        scores = self.rule(rule, network)
        return None if scores is None else scores["miou"]

    @property
    def computed(self) -> dict[str, str]:
        """How the figures were computed, which no spec holds, as far as the record says it."""
        record = self.record or {}
        device = {"cuda": "GPU", "cpu": "CPU"}.get((record.get("hardware") or {}).get("device"))
        weights = (record.get("start_weights") or {}).get("sha256")
        found = {"precision": record.get("precision"), "device": device, "start weights": weights and weights[:8]}
        return {what: value for what, value in found.items() if value}

    @property
    def last_iteration(self) -> int:
        return self.eval["iterations"][-1]

    def counts(self, kind: str, network: str | None = None) -> np.ndarray | None:
        """Per-image counts of the last evaluation; None where they are not stored."""
        return self.stored and self.stored.dense(kind, network or self.network, self.last_iteration)


@dataclass(frozen=True, eq=False)
class Cell(Described):
    """A place in a table: the runs of one method and variant on one split, one per seed (and list, where pooled)."""

    kind: str
    arm: str
    order: int
    runs: tuple[Run, ...]

    @property
    def row(self) -> Mapping[str, Any]:
        return self.runs[0].row

    @property
    def setting(self) -> tuple[str, ...]:
        """What is subtracted from each other and ranked together; the runs of a source among themselves."""
        return (*(str(self.row[key]) for key in SETTING), self.source or "")

    @property
    def finished(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.done)

    @property
    def trainings(self) -> list[str]:
        """What the finished runs were trained with; the same for cells that show the same trainings."""
        return sorted(run.eval["spec_sha256"][:12] for run in self.finished)

    @property
    def single(self) -> bool:
        """One training: no standard deviation, no p value, never bold."""
        return len(self.finished) < 2

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

    @property
    def computed(self) -> dict[str, dict[str, list[Run]]]:
        """Precision, device and start weights of the finished trainings: each value with the trainings that have it."""
        found: dict[str, dict[str, list[Run]]] = {}
        for run in self.finished:
            for what, value in run.computed.items():
                found.setdefault(what, {}).setdefault(value, []).append(run)
        return found

    def values(self, rule: str = "last", network: str | None = None) -> list[float]:
        found = (run.miou(rule, network) for run in self.finished)
        return [value for value in found if value is not None]

    def mean(self, network: str | None = None) -> float | None:
        """mIoU after the last iteration, mean over the finished runs."""
        return mean_sd(self.values("last", network))[0]


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
