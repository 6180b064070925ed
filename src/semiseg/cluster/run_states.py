"""The states of a study's runs, read from their folders: results, progress, holders of leases, failures."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.base.files import peek_json
from semiseg.cluster import queue
from semiseg.engine.training_progress import duration
from semiseg.runs import needs, spec
from semiseg.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from semiseg.study.plan import Run
    from semiseg.study.study import Study

AFFECTS_RESULTS = False

STATES = ("finished", "running", "silent", "queued", "waiting", "interrupted", "failed", "not run")
NOTEWORTHY = ("running", "silent", "interrupted", "failed", "not run")
SILENCE_SECONDS = 60  # seconds; twelve missed heartbeats


@dataclass(frozen=True)
class State:
    run: str
    method: str
    state: str
    done: int | None = None  # iterations
    iterations: int | None = None
    seconds_per_iteration: float | None = None
    loss: float | None = None
    miou: float | None = None
    where: str = ""
    note: str = ""

    @property
    def iteration(self) -> str:
        if self.iterations:
            return f"{self.done}/{self.iterations}"
        return "starts" if self.state == "running" else "" if self.done is None else str(self.done)

    @property
    def seconds_left(self) -> float | None:
        if not self.done or not self.iterations or not self.seconds_per_iteration:
            return None
        return (self.iterations - self.done) * self.seconds_per_iteration

    @property
    def left(self) -> str:
        return "" if self.seconds_left is None else duration(self.seconds_left)


def of_runs(study: Study, jobs: list[queue.Job] | None) -> list[State]:
    return Watch(study).look(jobs)


def summary(states: Iterable[State]) -> str:
    names = [one.state for one in states]
    parts = [f"{names.count(state)} {state}" for state in STATES if state in names]
    return f"{len(names)} runs, " + ", ".join(parts) if names else "no runs"


class Watch:
    """Reads the states of a study repeatedly; folders of finished runs are read only once."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._finished: dict[Path, State] = {}

    def look(self, jobs: list[queue.Job] | None = None) -> list[State]:
        waiting, begun = (queue.trainings(jobs or [], waiting) for waiting in (True, False))
        states = []
        for run in self.study.plan.runs:
            state = self._finished.get(run.path) or self._of_run(run, waiting, begun)
            if state.state == "finished":
                self._finished[run.path] = state
            states.append(state)
        return _not_run(self.study.plan.runs, states)

    def _of_run(self, run: Run, waiting: set[str], begun: set[str]) -> State:
        lease = peek_json(run.path / "lease.json")
        if lease:
            return _trained(run, lease)
        carried = peek_json(run.path / "spec.json", "sha256")
        wanted = self._wanted(run)
        if carried and carried == wanted:
            source = RunFolder(run.path).source
            return State(run.name, run.method, "finished", note=f"from {source}" if source else "")
        wildcards = "_".join((run.dataset, run.split, run.method, run.variant, str(run.seed))).replace("/", "_")
        if wildcards in waiting:
            return State(run.name, run.method, "queued")
        record = peek_json(run.path / "record.json") or {}
        if carried or record.get("spec_sha256") != wanted:
            if wildcards in begun:
                return State(run.name, run.method, "queued", note="its job runs; members of a group take turns")
            note = "holds results of another configuration" if carried else ""
            return State(run.name, run.method, "waiting", note=note)
        return _ended(run, record)

    def _wanted(self, run: Run) -> str:
        """The hash of the run's spec; tunings that end while this watches decide the settings of tuned runs."""
        if run.tuned_by is None or not run.tuned_by.exists():
            return self.study.specs.sha256(run)
        return spec.spec_sha256(self.study.specs.wanted(self.study.as_tuned(run)))


def _not_run(runs: Iterable[Run], states: list[State]) -> list[State]:
    """Mark runs that wait, directly or indirectly, for a run that failed."""
    rows = {run.name: {"state": one.state, "needs": {name: other.name for name, other in run.needs.items()}}
            for run, one in zip(runs, states, strict=True)}  # fmt: skip
    waiting = {name: needs.failed(row, rows) for name, row in rows.items() if row["state"] == "waiting"}
    notes = {name: reason.removeprefix(needs.NOT_RUN) for name, reason in waiting.items() if reason}
    return [replace(one, state="not run", note=notes[one.run]) if one.run in notes else one for one in states]


def _trained(run: Run, lease: dict[str, Any]) -> State:
    silence = time.time() - lease.get("heartbeat", 0)
    where = lease.get("node") or lease.get("host", "")
    if lease.get("slurm_job"):
        where += f" (job {lease['slurm_job']})"
    heard = silence < SILENCE_SECONDS
    known = (lease.get(key) for key in ("iteration", "iterations", "seconds_per_iteration", "loss", "miou"))
    note = "" if heard else f"no heartbeat for {duration(silence)}"
    return State(run.name, run.method, "running" if heard else "silent", *known, where, note)


def _ended(run: Run, record: dict[str, Any]) -> State:
    """The state of a run without a result."""
    error = record.get("error") or {}
    at = error.get("iteration", record.get("iterations"))
    if record["state"] == "failed":
        note = str(error.get("message", ""))
        return State(run.name, run.method, "failed", at, where=_host(record), note=note)
    if record.get("collected"):
        return State(run.name, run.method, "waiting", note="collected without weights, which another run needs")
    return State(run.name, run.method, "interrupted", at, note="continues from its last checkpoint")


def _host(record: dict[str, Any]) -> str:
    return (record.get("slurm") or {}).get("SLURMD_NODENAME") or (record.get("hardware") or {}).get("host") or ""
