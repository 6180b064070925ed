"""Failing trainings: some are retried with more memory, some fail for good, and none affects others."""

from __future__ import annotations

import csv

from tests.slurm.test_all import jobs
from tests.slurm.workspace import LONG, WHOLE, of_runs


def states(here) -> dict[str, str]:
    with (here.folder / "results/tiny/tables/comparison.csv").open() as stream:
        return {row["method"]: row["state"] for row in csv.DictReader(stream)}


def test_failures_are_tried_again_and_the_hopeless_are_shown(cluster, workspace, reference):
    methods = ("supervised", "fixmatch")
    here = workspace(**LONG, methods=dict.fromkeys(methods, {}))
    here.trouble(fail={"supervised": [2, 5], "fixmatch": [99, 3]})
    assert here.run() != 0
    assert states(here) == {"supervised": "done", "fixmatch": "failed"}
    sent = {job for run, _, job, *_ in here.diary if "supervised" in run}
    assert [job["MinMemoryNode"] for job in jobs() if job["JobId"] in sent] == ["3600M", "2400M", "1200M"]
    assert here.steps("supervised") == [*range(6), 4, 5, *range(4, 12)], "each attempt starts at the checkpoint"
    assert here.steps("fixmatch") == [0, 1, 2, 3] * 3
    here.trouble()
    assert here.run("train_all") == 0, here.log
    assert of_runs(here.results(), *methods) == of_runs(reference, *methods)


def test_a_member_of_a_group_that_fails_does_not_undo_the_others(cluster, workspace, reference):
    here = workspace()
    here.trouble(fail={"supervised": [99, 3], "mean_teacher": [99, 3]})  # one of them has its turn before fixmatch
    assert here.run() != 0
    assert states(here) == {"supervised": "failed", "fixmatch": "done", "mean_teacher": "failed"}
    assert here.steps("fixmatch") == WHOLE, "trained once"
    assert {job for run, _, job, *_ in here.diary if "fixmatch" in run} == {here.diary[0][2]}, "in the first attempt"
    here.trouble()
    assert here.run() == 0, here.log
    assert here.steps("fixmatch") == WHOLE
    assert here.results() == reference
