"""Snakemake itself is killed, started twice, or finds the disk full."""

from __future__ import annotations

import shutil
import signal
import subprocess

import pytest

from tests.slurm.workspace import LONG, WHOLE


def test_killed_in_the_middle_and_started_again(cluster, workspace, reference):
    here = workspace(**LONG)
    here.trouble(slow={"": 1})
    for how in (signal.SIGINT, signal.SIGTERM):
        snakemake = here.start()
        here.until_training("", 2 if how == signal.SIGINT else 6)
        snakemake.send_signal(how)
        assert here.wait(snakemake) != 0
    assert here.run() == 0, here.log
    assert here.results() == reference
    assert all(here.steps(name) == WHOLE for name in ("supervised", "fixmatch", "mean_teacher"))


def test_killed_for_good_while_its_jobs_live_on_and_the_wish_changes(cluster, workspace, reference, undisturbed):
    here = workspace(**LONG)
    here.trouble(slow={"": 5})
    snakemake = here.start()
    for name in ("supervised", "mean_teacher", "fixmatch"):
        here.until_training(name, 2)
    # What the killed one leaves behind shall still be at work when the next one's jobs come.
    here.trouble(slow={"": 15})
    snakemake.kill()
    snakemake.wait()
    methods = {"supervised": {}, "mean_teacher": {}, "fixmatch": {"options": {"confidence": 0.5}}}
    here.describe(**LONG, methods=methods)
    second = here.start()
    for name in ("supervised", "mean_teacher"):
        here.until(lambda name=name: "waiting: " in here.said(name), f"a second training of {name} waits for the first")
    here.trouble()
    assert here.wait(second) == 0, here.log
    assert here.steps("supervised") == here.steps("mean_teacher") == WHOLE, "orphans are waited for"
    assert here.record("fixmatch")["resumed"] == 0, "a checkpoint of the former wish is of no use"
    assert here.results() == undisturbed(methods=methods)
    here.describe(**LONG)
    assert here.run() == 0, here.log
    assert here.results() == reference


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_second_snakemake_is_told(cluster, workspace, reference):
    here = workspace(**LONG)
    here.trouble(slow={"": 1})
    pair = [here.start(), here.start()]  # neither has a lock yet
    here.until(lambda: any(one.poll() == 2 for one in pair), "one of the two is told")
    assert "already running in this folder" in here.log
    [first] = [one for one in pair if one.poll() is None]
    here.until_training("", 1)
    assert here.run() == 2
    assert here.run(profile="local") == 2
    assert here.wait(first) == 0, here.log
    assert here.results() == reference


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_full_disk(cluster, workspace, reference):
    here = workspace(**LONG)
    disk = here.folder / "results"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        (disk / "filler").write_bytes(bytes(4 * 2**20 - 60_000))
        assert here.run() != 0
        said = here.said()
        assert "the disk is too full for the checkpoint" in said
        assert "Traceback" not in said
        (disk / "filler").unlink()
        assert here.run() == 0, here.log
        assert here.results() == reference
        shutil.copytree(disk, here.folder / "kept")
    finally:
        subprocess.run(["umount", disk], check=True)
