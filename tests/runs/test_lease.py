"""Whether a lease's holder counts as alive: by the host's processes, Slurm's queue, or the last heartbeat."""

from __future__ import annotations

import os
import time

import pytest

from semiseg.base.files import write_json
from semiseg.runs import lease

LONG_AGO = 10 * lease.SILENCE_SECONDS


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """A fake squeue with this answer for every job, or an error without an answer."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def say(state: str | None, error: str = "", code: int = 0) -> None:
        program = tmp_path / "squeue"
        program.write_text(f"#!/bin/sh\necho '{error}' >&2\nprintf '{state or ''}'\nexit {code}\n")
        program.chmod(0o755)

    return say


def holder(silent_for: float, job: str = "7") -> dict:
    return {"host": "lost", "pid": 1, "slurm_job": job, "heartbeat": time.time() - silent_for}


def test_slurm_knows_best_whether_another_job_lives(squeue):
    squeue("RUNNING\\n")
    assert lease.is_alive(holder(LONG_AGO)), "its folder may be on a disk that is slow to tell"
    squeue("")
    assert not lease.is_alive(holder(0))
    squeue(None, "slurm_load_jobs error: Invalid job id specified", 1)
    assert not lease.is_alive(holder(0))


def test_where_slurm_does_not_answer_the_heartbeat_counts(squeue):
    squeue(None, "Unable to contact slurm controller", 1)
    assert lease.is_alive(holder(0)) and not lease.is_alive(holder(LONG_AGO))


def test_a_job_that_begins_again_elsewhere_does_not_take_itself_for_the_dead_holder(squeue, monkeypatch):
    """After a lost node the job number is the same, and Slurm's RUNNING refers to the asking process."""
    squeue("RUNNING\\n")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert not lease.is_alive(holder(LONG_AGO))
    assert lease.is_alive(holder(0)), "the node may only be unreachable: whoever writes heartbeats trains"
    assert lease.is_alive(holder(LONG_AGO, job="8")), "another job is asked for as ever"


def test_the_lease_of_a_lost_node_is_taken_over_by_the_same_job(tmp_path, squeue, monkeypatch):
    squeue("RUNNING\\n")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(lease, "SILENCE_SECONDS", 0.3)
    write_json(tmp_path / "lease.json", holder(0) | {"spec_sha256": "spec"})
    said = []
    with lease.hold(tmp_path, "spec", said.append, poll_seconds=0.05) as held:
        assert lease.read(held.path)["pid"] == os.getpid()
    assert len(said) == 1 and "waiting" in said[0] and "on lost (Slurm job 7)" in said[0]


def test_a_lease_that_was_taken_over_is_noticed_and_left_alone(tmp_path):
    """After a long silence, for example of the disk, two trainings must not write into one folder for long."""
    with lease.hold(tmp_path, "spec", print) as mine:
        mine.beat()
        assert not mine.superseded
        theirs = mine.fields | {"host": "elsewhere", "heartbeat": time.time()}
        write_json(tmp_path / "lease.json", theirs)
        mine.beat()
        assert mine.superseded
        assert lease.read(tmp_path / "lease.json") == theirs
    assert lease.read(tmp_path / "lease.json") == theirs, "not ours to remove"
