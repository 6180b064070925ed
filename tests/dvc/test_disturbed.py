"""Drivers killed at random moments, and two of them at once: never a stale result, and a clear refusal."""

from __future__ import annotations

import os
import random
import signal
import time

import psutil
import pytest

from tests.dvc.clone import Clone

CONFIDENCE = (0.8, 0.9)
DVC = ("dvc", "repro")
SNAKEMAKE = ("snakemake", "--profile", "local", "tables")
# The driver, and which of its processes is killed. The configuration changes before every second start.
KILLED = ((SNAKEMAKE, "snakemake"), (DVC, "train"), (DVC, "dvc"), (SNAKEMAKE, "train"), (DVC, "snakemake"))


@pytest.fixture(scope="module")
def expected(origin, tmp_path_factory):
    """The tables for each configuration, in a copy without disturbances."""
    there = origin.copy(tmp_path_factory.mktemp("undisturbed") / "there")
    there.change("fixmatch", confidence=CONFIDENCE[1])
    assert there.snakemake("tables").trainings == 1
    expected = {CONFIDENCE[0]: origin.tables(), CONFIDENCE[1]: there.tables()}
    assert expected[CONFIDENCE[0]] != expected[CONFIDENCE[1]]
    return expected


def test_killed_in_every_way_with_and_without_a_change(origin, expected, tmp_path):
    """A seed determines the moments, so that failures can be repeated. Each start meets what earlier kills left."""
    dice = random.Random(7)
    work = origin.clone(tmp_path / "work")
    wish = CONFIDENCE[0]
    for number, (driver, victim) in enumerate(KILLED):
        if number % 2:
            wish = CONFIDENCE[1] if wish == CONFIDENCE[0] else CONFIDENCE[0]
            work.change("fixmatch", confidence=wish)
        _kill(work, driver, victim, dice.uniform(0, 6))
    for driver in (SNAKEMAKE, DVC):
        _undisturbed(work, driver)
        assert work.tables() == expected[wish]
    assert "up to date" in work.must("dvc", "status").text
    assert work.must("semiseg", "adopt").text.count(": accepted") == 3
    # What DVC recorded is what was made: the same from its cache.
    work.must("dvc", "checkout", "--force")
    assert work.snakemake("tables").trainings == 0
    assert work.tables() == expected[wish]


def _kill(work: Clone, driver: tuple[str, ...], victim: str, delay: float) -> None:
    """Kill one process of the tree with -9, a random time after its start; all other processes continue."""
    deadline = time.monotonic() + 300
    process = work.start(*driver)
    while not _find(process.pid, victim):
        assert time.monotonic() < deadline, f"{driver}: no {victim} to kill"
        if process.poll() is not None:  # refused, because an orphan of the last driver still works
            process.stdout.close()
            time.sleep(1)
            process = work.start(*driver)
        time.sleep(0.05)
    time.sleep(delay / (3 if victim == "train" else 1))
    for one in _find(process.pid, victim) if process.poll() is None else ():
        one.kill()
    if victim == "train":  # its driver goes on and ends by itself
        process.communicate(timeout=600)
    else:
        process.stdout.close()
        process.wait(60)


def _find(root: int, victim: str) -> list[psutil.Process]:
    try:
        tree = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
        return [one for one in tree if _is(one.cmdline(), victim)][:1]
    except psutil.NoSuchProcess:
        return []


def _is(command: list[str], victim: str) -> bool:
    """The process of the driver, not its shell; for trainings, the process that trains."""
    if victim == "train":
        return "semiseg" in command and "train" in command
    return any(part.endswith(f"/bin/{victim}") for part in command[:2])


def _undisturbed(work: Clone, command: tuple[str, ...]) -> None:
    """Run the command until it succeeds; it is refused while an orphan of a killed driver still works."""
    deadline = time.monotonic() + 300
    while True:
        outcome = work.run(*command)
        if outcome.code == 0:
            return
        waits = "already running in this folder" in outcome.text
        assert waits and time.monotonic() < deadline, outcome.text
        time.sleep(1)


def test_two_drivers_at_once(work):
    work.change("fixmatch", confidence=0.9)
    first = work.start("dvc", "repro")
    while not (training := _find(first.pid, "train")):
        assert first.poll() is None, first.stdout.read()
        time.sleep(0.05)
    training[0].suspend()  # the first is in the middle for as long as the others try
    snakemake = work.run("snakemake", "--profile", "local", "all")
    second = work.run("dvc", "repro")
    training[0].resume()
    assert snakemake.code == 2
    assert "snakemake is already running in this folder" in snakemake.text
    assert second.code != 0
    assert "Traceback" not in second.text
    assert "busy" in second.text or "already running in this folder" in second.text or "lock" in second.text
    text, _ = first.communicate(timeout=300)
    assert first.returncode == 0, text
    assert "Nothing to be done" in work.snakemake().text


def test_stopped_by_hand_it_goes_on(origin, work):
    work.change("fixmatch", confidence=0.9)
    first = work.start("dvc", "repro")
    while not work.path_of("fixmatch/default").joinpath("lease.json").exists():
        assert first.poll() is None, first.stdout.read()
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=120)
    assert first.returncode != 0
    work.repro()
    assert "up to date" in work.must("dvc", "status").text
    assert work.trained().keys() == origin.trained().keys()
