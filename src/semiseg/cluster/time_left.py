"""The remaining time of a study, from running trainings and those that ended during the observation.

`estimate` gives the relative lengths of runs, and the measured times scale them to this machine.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semiseg.base.files import peek_json
from semiseg.cluster import estimate
from semiseg.cluster.run_states import State

if TYPE_CHECKING:
    from semiseg.study.study import Study

AFFECTS_RESULTS = False

OPEN = ("running", "silent", "queued", "waiting", "interrupted")  # failed runs do not count
READ = 50  # number of finished runs whose records are read


class TimeLeft:
    def __init__(self, study: Study) -> None:
        self.runs = {run.name: run for run in study.plan.runs}
        self._estimates: dict[str, float] = {}
        self._factors: dict[str, float] = {}  # finished run -> ratio of measured to estimated seconds

    def seconds(self, states: Sequence[State]) -> float | None:
        """Seconds; None until the speed of a training is known."""
        factors = self._measured(states)
        if not factors:
            return None
        everywhere = statistics.median(factor for known in factors.values() for factor in known)
        left = []
        for state in states:
            if state.state in OPEN:
                factor = statistics.median(factors.get(state.method, [everywhere]))
                whole = self._estimate(state.run) * factor
                left.append(whole if state.seconds_left is None else state.seconds_left)
        at_work = max(1, sum(state.state == "running" for state in states))
        return max(sum(left) / min(at_work, len(left)), max(left)) if left else 0.0

    def _measured(self, states: Sequence[State]) -> dict[str, list[float]]:
        found = defaultdict(list)
        for state in states:
            if state.state == "finished" and (factor := self._of_finished(state.run)):
                found[state.method].append(factor)
            elif state.seconds_left is not None:
                seconds = state.iterations * state.seconds_per_iteration
                found[state.method].append(seconds / self._estimate(state.run))
        return found

    def _of_finished(self, name: str) -> float | None:
        if name not in self._factors and len(self._factors) < READ:
            seconds = peek_json(Path(self.runs[name].path) / "record.json", "wall_seconds") or 0.0
            self._factors[name] = seconds / self._estimate(name)
        return self._factors.get(name)

    def _estimate(self, name: str) -> float:
        if name not in self._estimates:
            self._estimates[name] = estimate.run_seconds(self.runs[name].config, as_found=True)
        return self._estimates[name]
