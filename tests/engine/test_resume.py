"""A run that was killed at any moment and resumed equals an uninterrupted run bit for bit."""

from __future__ import annotations

import os
import random
import signal
import time

import psutil
import pytest

from tests import tiny
from tests.engine.conftest import in_child, losses_and_scores

ONLY = {"splits": {"partitions": [4]}}
METHODS = {"advsemiseg": {"options": {"width_d": 4, "semi_start": 0.2, "t_semi": 0.1}}, "unimatch": {}}
KILLS = [3, pytest.param(20, marks=pytest.mark.slow)]  # a kill after the end proves nothing and is not counted
PRODUCTS = ("model.safetensors", "evaluations.npz", "predictions.npz", "spec.json")


def same(one, other):
    for name in PRODUCTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert losses_and_scores(one) == losses_and_scores(other)


def wait_for_cpu(child, seconds):
    """CPU time of the process, because other work on the machine affects the wall clock."""
    process = psutil.Process(child)
    while process.status() != psutil.STATUS_ZOMBIE and sum(process.cpu_times()[:2]) < seconds:
        time.sleep(0.005)


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("method", METHODS)
def test_killed_at_random_moments_it_ends_the_same(method, kills, prepared, trainer, tmp_path):
    content = tiny.params({method: METHODS[method]}, **ONLY)
    undisturbed = trainer(content)
    run = undisturbed.relative_to(tmp_path / "work")
    used = os.wait4(in_child(prepared(content, tmp_path / "timing")), 0)[2]
    length = used.ru_utime + used.ru_stime
    generator = random.Random(method)
    killed, trials = 0, kills + 10
    for trial in range(trials):
        disturbed = prepared(content, tmp_path / f"disturbed{trial}")
        child = in_child(disturbed)
        wait_for_cpu(child, length * generator.uniform(0.05, 0.95))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            continue
        killed += 1
        _, status = os.waitpid(in_child(disturbed), 0)
        assert status == 0
        same(undisturbed, disturbed / run)
        if killed == kills:
            break
    assert killed == kills, f"{trials - killed} of {trials} kills came too late"


def test_a_signal_leads_to_a_checkpoint_and_its_own_exit_code(prepared, trainer, tmp_path):
    content = tiny.params({"supervised": {}}, splits={"partitions": [4]}, recipe={"iterations": 150},
                          evaluation={"every": 75}, runtime={"checkpoint_every": 10_000})  # fmt: skip
    undisturbed = trainer(content)
    run = undisturbed.relative_to(tmp_path / "work")
    for number in (signal.SIGTERM, signal.SIGUSR1):
        disturbed = prepared(content, tmp_path / f"disturbed{number}")
        child = in_child(disturbed)
        log, process = disturbed / run / "metrics.jsonl", psutil.Process(child)
        while not log.exists() or not log.read_text():
            assert process.status() != psutil.STATUS_ZOMBIE, "the child ended too early"
            time.sleep(0.01)
        os.kill(child, number)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 75
        assert (disturbed / run / "checkpoint.pt").exists()
        assert not (disturbed / run / "spec.json").exists()
        _, status = os.waitpid(in_child(disturbed), 0)
        assert status == 0
        same(undisturbed, disturbed / run)
        assert not (disturbed / run / "checkpoint.pt").exists(), "a finished run keeps no checkpoint"
