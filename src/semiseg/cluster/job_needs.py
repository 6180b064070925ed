"""The requests of all runs of a suite to the scheduler, and which trainings share a job."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.cluster import resources
from semiseg.cluster.resources import Resources

if TYPE_CHECKING:
    from semiseg.study.plan import Run

AFFECTS_RESULTS = False


class Needs:
    """Resources by run folder. A method's trainings share jobs only if all of them are short."""

    def __init__(self, runs: Iterable[Run], runtime: dict[str, Any]) -> None:
        runs = tuple(runs)
        found = {run.path: resources.of(run.config, runtime) for run in runs}
        # A run that waits for others, or for a tuning, gets a separate job: a group could wait for itself.
        waits = {run.path for run in runs if run.needs or run.tuned_by}
        alone = {run.method for run in runs if run.path in waits or not found[run.path].short}
        self._methods = {run.method: run.method not in alone for run in runs}  # method -> trainings are short
        self._of = {run.path: dataclasses.replace(found[run.path], short=self._methods[run.method]) for run in runs}

    def __getitem__(self, path: Path) -> Resources:
        return self._of[path]

    def values(self, name: str) -> set[Any]:
        """The runs' requests of one resource; a single value if all are equal."""
        return {getattr(one, name) for one in self._of.values()}

    def methods_pattern(self, short: bool) -> str:
        """Regular expression of the methods whose trainings are short (or long).

        Without such methods it matches nothing.
        """
        return "|".join(sorted(method for method, brief in self._methods.items() if brief == short)) or "(?!)"

    def attempts(self, short: bool) -> int:
        """How often a short (or long) training may be submitted: once, after failures, and after each time limit."""
        return max((one.attempts for one in self._of.values() if one.short == short), default=1)
