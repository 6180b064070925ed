"""How far the runs of a study are, from their folders: what they carry, who trains them, what went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from semiseg.base.files import peek_json
from semiseg.cluster import queue
from semiseg.engine.training_progress import duration

AFFECTS_RESULTS = False

STATES = ("finished", "running", "silent", "queued", "waiting", "interrupted", "failed")
NOTEWORTHY = ("running", "silent", "interrupted", "failed")
SILENCE_SECONDS = 60  # twelve missed heartbeats


@dataclass(frozen=True)
class State:
    run: str
    method: str
    state: str
    iteration: str = ""
    left: str = ""
    miou: str = ""
    where: str = ""
    note: str = ""


def of_runs(study: Any, jobs: list[queue.Job] | None) -> list[State]:
    waiting, begun = (queue.trainings(jobs or [], waiting) for waiting in (True, False))
    return [_of_run(study, run, waiting, begun) for run in study.plan.runs]


def summary(states: Iterable[State]) -> str:
    names = [one.state for one in states]
    parts = [f"{names.count(state)} {state}" for state in STATES if state in names]
    return f"{len(names)} runs, " + ", ".join(parts) if names else "no runs"


def _of_run(study: Any, run: Any, waiting: set[str], begun: set[str]) -> State:
    lease = peek_json(run.path / "lease.json")
    if lease:
        return _trained(run, lease)
    carried = peek_json(run.path / "spec.json")
    wanted = study.runs[run.path].wanted()
    if carried and carried.get("sha256") == wanted:
        return State(run.name, run.method, "finished")
    wildcards = "_".join((run.dataset, run.split, run.method, run.variant, str(run.seed))).replace("/", "_")
    if wildcards in waiting:
        return State(run.name, run.method, "queued")
    record = peek_json(run.path / "record.json") or {}
    if carried or record.get("spec_sha256") != wanted:
        if wildcards in begun:
            return State(run.name, run.method, "queued", note="its job runs; members of a group take turns")
        return State(run.name, run.method, "waiting", note="holds results of another configuration" if carried else "")
    error = record.get("error") or {}
    at = error.get("iteration", record.get("iterations"))
    if record["state"] == "failed":
        return State(run.name, run.method, "failed", str(at), where=_host(record), note=str(error.get("message", "")))
    return State(run.name, run.method, "interrupted", str(at), note="goes on from its last checkpoint")


def _trained(run: Any, lease: dict[str, Any]) -> State:
    silence = time.time() - lease.get("heartbeat", 0)
    iteration, iterations = lease.get("iteration"), lease.get("iterations")
    left = ""
    if iteration and lease.get("seconds_per_iteration"):
        left = duration((iterations - iteration) * lease["seconds_per_iteration"])
    where = lease.get("node") or lease.get("host", "")
    if lease.get("slurm_job"):
        where += f" (job {lease['slurm_job']})"
    return State(
        run.name, run.method, "running" if silence < SILENCE_SECONDS else "silent",
        f"{iteration}/{iterations}" if iterations else "starts", left,
        "" if lease.get("miou") is None else f"{lease['miou']:.1f}", where,
        "" if silence < SILENCE_SECONDS else f"no heartbeat for {duration(silence)}",
    )  # fmt: skip


def _host(record: dict[str, Any]) -> str:
    return (record.get("slurm") or {}).get("SLURMD_NODENAME") or (record.get("hardware") or {}).get("host") or ""
