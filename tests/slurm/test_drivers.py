"""Snakemake itself is killed, started twice, or finds the disk full."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.slurm.workspace import COMMA, LONG, WHOLE, of_runs


def test_killed_in_the_middle_and_started_again(cluster, workspace, reference):
    methods = ("supervised", "fixmatch")
    here = workspace(**LONG, methods=dict.fromkeys(methods, {}))
    for how, step in ((signal.SIGINT, 2), (signal.SIGTERM, 6)):
        here.trouble(pause={"": step})
        snakemake = here.start("train_all")
        here.until_training("", step)
        snakemake.send_signal(how)
        if how == signal.SIGTERM:  # Snakemake waits for what is running
            here.trouble()
        assert here.wait(snakemake) != 0
        here.until(lambda: not subprocess.run(["squeue", "-h"], capture_output=True).stdout, "its jobs have ended")
    assert here.run("train_all") == 0, here.log
    assert of_runs(here.results(), *methods) == of_runs(reference, *methods)
    assert all(here.steps(name) == WHOLE for name in methods)


def test_killed_for_good_while_its_jobs_live_on_and_the_wish_changes(cluster, workspace, reference, undisturbed):
    before = {"supervised": {}, "fixmatch": {}}
    here = workspace(**LONG, methods=before)
    here.trouble(pause={"": 2})
    snakemake = here.start("train_all")
    for name in before:
        here.until_training(name, 2)
    snakemake.kill()
    snakemake.wait()
    after = {"supervised": {}, "fixmatch": {"options": {"confidence": 0.5}}}
    here.describe(**LONG, methods=after)
    second = here.start("train_all")
    # What the killed one has left behind is still at work when the next one's jobs come.
    here.until(lambda: "waiting: " in here.said("supervised"), "a second training waits for the first")
    here.trouble()
    assert here.wait(second) == 0, here.log
    assert here.steps("supervised") == WHOLE, "orphans are waited for"
    assert here.record("fixmatch")["resumed"] == 0, "a checkpoint of the former wish is of no use"
    assert here.results() == of_runs(undisturbed(methods=after), *after)
    here.describe(**LONG, methods=before)
    assert here.run("train_all") == 0, here.log
    assert here.results() == of_runs(reference, *before)


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_second_snakemake_is_told(cluster, workspace, reference):
    here = workspace(**LONG, methods={"supervised": {}})
    here.trouble(pause={"": 1})
    pair = [here.start("train_all"), here.start("train_all")]  # neither has a lock yet
    here.until(lambda: any(one.poll() == 2 for one in pair), "one of the two is told")
    assert "already running in this folder" in here.log
    [first] = [one for one in pair if one.poll() is None]
    here.until_training("", 1)
    assert here.run("train_all") == 2
    assert here.run("train_all", profile="local") == 2
    here.trouble()
    assert here.wait(first) == 0, here.log
    assert here.results() == of_runs(reference, "supervised")


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_full_disk(cluster, workspace, reference):
    here = workspace(**LONG, methods={"mean_teacher": {"variants": [COMMA]}})
    disk = here.folder / "results"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        (disk / "filler").write_bytes(bytes(4 * 2**20 - 60_000))
        assert here.run("train_all") != 0
        said = here.said()
        assert "the disk is too full for the checkpoint" in said
        assert "Traceback" not in said
        (disk / "filler").unlink()
        assert here.run("train_all") == 0, here.log
        assert of_runs(here.results(), "mean_teacher") == of_runs(reference, "mean_teacher")
    finally:
        subprocess.run(["umount", disk], check=True)
