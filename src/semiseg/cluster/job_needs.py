"""What all runs of a suite ask of the scheduler, and which of their trainings travel in groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from semiseg.cluster import resources
from semiseg.cluster.resources import Resources

AFFECTS_RESULTS = False


class Needs:
    """By folder of a run. A method's trainings travel in groups only if all of them are short."""

    def __init__(self, runs: Iterable[Any], runtime: dict[str, Any]) -> None:
        runs = tuple(runs)
        found = {run.path: resources.of(run.config, runtime) for run in runs}
        # A run that waits for others travels alone: its group could wait for itself.
        alone = {run.method for run in runs if run.needs or not found[run.path].short}
        self._methods = {run.method: run.method not in alone for run in runs}  # method -> is it short?
        self._of = {run.path: dataclasses.replace(found[run.path], short=self._methods[run.method]) for run in runs}

    def __getitem__(self, path: Path) -> Resources:
        return self._of[path]

    def values(self, name: str) -> set[Any]:
        """What the runs ask for of one resource: a single value where they are alike."""
        return {getattr(one, name) for one in self._of.values()}

    def methods_pattern(self, short: bool) -> str:
        """Regular expression of the methods whose trainings are short (or long); one that never matches if none is."""
        return "|".join(sorted(method for method, brief in self._methods.items() if brief == short)) or "(?!)"

    def attempts(self, short: bool) -> int:
        """How often a short (or long) training may be sent: mishaps, and sittings where the time limit is tight."""
        return max((one.attempts for one in self._of.values() if one.short == short), default=1)
