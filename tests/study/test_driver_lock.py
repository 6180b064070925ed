"""Two drivers in one folder, and locks whose owner is gone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from semiseg.base.errors import UserError
from semiseg.runs import lease
from semiseg.runs.lease import identity
from semiseg.study import driver_lock
from semiseg.study.driver_lock import LOCKS, OWNER, guard


@pytest.fixture
def locked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(owner):
        LOCKS.mkdir(parents=True)
        (LOCKS / "0.input.lock").write_text("results\n")
        if owner is not None:
            OWNER.write_text(json.dumps(owner))

    return make


def dead():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return identity() | {"pid": gone.pid}


@pytest.fixture(autouse=True)
def _signals():
    """A guarded process changes the handling of Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def living():
    """Another working process."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield identity() | {"pid": process.pid, "process_started": psutil.Process(process.pid).create_time()}
    process.communicate(b"\n")


def start(folder):
    """A process that guards this folder, prints the result, and works until it reads a line."""
    code = "from semiseg.base import errors\nfrom semiseg.study import driver_lock\ntry:\n"
    code += "    driver_lock.guard(['snakemake', 'all']); said = 'works'\n"
    code += "except errors.UserError as error:\n    said = 'refused'\nprint(said, flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, **pipes)


def test_a_dead_owners_lock_is_removed_with_a_sentence(locked, capsys):
    owner = dead()
    locked(owner)
    guard(["snakemake", "all"])
    assert not list(LOCKS.glob("*.lock"))
    assert f"removed the lock of process {owner['pid']}" in capsys.readouterr().err
    assert json.loads(OWNER.read_text())["pid"] == identity()["pid"], "who works here now is noted"


def test_a_living_owner_is_named(locked, living):
    locked(living)
    with pytest.raises(UserError, match=f"process {living['pid']}.*kill -INT"):
        guard(["snakemake", "all"])
    assert list(LOCKS.glob("*.lock"))


def test_a_scripts_background_process_hears_the_signal_that_is_named_and_so_do_its_trainings(tmp_path):
    code = "import subprocess\nfrom semiseg.study import driver_lock\ndriver_lock.guard(['snakemake', 'all'])\n"
    code += "child = subprocess.Popen(['sleep', '600'])\nprint(child.pid, flush=True)\nchild.wait()"
    script = f'{sys.executable} -c "{code}" & wait'  # as a script does it, SIGINT is ignored
    shell = subprocess.Popen(["sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    training = psutil.Process(int(shell.stdout.readline()))
    driver = training.parent()
    driver.send_signal(signal.SIGINT)
    gone, alive = psutil.wait_procs([driver, training], timeout=30)
    assert alive == []
    shell.wait()


def test_a_second_and_a_third_are_told_before_the_first_has_its_lock(tmp_path):
    """Snakemake locks seconds after its start: until then only the note names the driver."""
    first, second = start(tmp_path), start(tmp_path)
    told = [one.stdout.readline() for one in (first, second)]
    assert sorted(told) == ["refused\n", "works\n"], "whichever of the two was faster"
    winner = first if told[0] == "works\n" else second
    (tmp_path / LOCKS).mkdir()
    lock = tmp_path / LOCKS / "0.input.lock"
    lock.touch()
    third = start(tmp_path)
    assert third.stdout.readline() == "refused\n" and lock.exists()
    assert lease.read(tmp_path / OWNER)["pid"] == winner.pid
    lock.unlink()
    for one in (first, second, third):
        one.communicate("\n", timeout=60)
    assert not (tmp_path / OWNER).exists(), "whoever ends well takes the note away"
    fourth = start(tmp_path)
    assert fourth.stdout.readline() == "works\n"
    fourth.communicate("\n", timeout=60)


def test_the_same_process_may_read_its_snakefile_again(locked):
    locked(identity())
    guard(["snakemake", "all"])
    assert list(LOCKS.glob("*.lock"))


def test_a_note_from_another_host_holds_while_its_snakemake_may_be_starting(locked):
    elsewhere = {"host": "elsewhere", "pid": 1, "process_started": 1.0, "slurm_job": None}
    locked(elsewhere | {"heartbeat": time.time()})
    next(LOCKS.glob("*.lock")).unlink()
    with pytest.raises(UserError, match="process 1 on elsewhere.*remove .snakemake/driver.json"):
        guard(["snakemake", "all"])
    OWNER.write_text(json.dumps(elsewhere | {"heartbeat": time.time() - 3600}))
    guard(["snakemake", "all"])
    assert lease.read(OWNER)["pid"] == identity()["pid"], "by now it would have had a lock"


def test_a_lock_that_is_left_keeps_its_note(tmp_path):
    one = start(tmp_path)
    assert one.stdout.readline() == "works\n"
    (tmp_path / LOCKS).mkdir()
    (tmp_path / LOCKS / "0.input.lock").touch()
    one.communicate("\n", timeout=60)
    assert lease.read(tmp_path / OWNER)["pid"] == one.pid
    again = start(tmp_path)
    assert again.stdout.readline() == "works\n" and not list((tmp_path / LOCKS).iterdir())
    again.communicate("\n", timeout=60)


def test_a_process_that_only_has_the_dead_ones_number_is_no_owner(locked):
    locked(identity() | {"process_started": 1.0})
    guard(["snakemake", "all"])
    assert not list(LOCKS.glob("*.lock"))


@pytest.mark.parametrize("owner", [None, {"host": "elsewhere", "pid": 1}])
def test_an_owner_that_cannot_be_asked_leads_to_the_exact_command(locked, owner):
    locked(owner)
    with pytest.raises(UserError, match="snakemake --unlock"):
        guard(["snakemake", "all"])
    assert list(LOCKS.glob("*.lock"))


@pytest.mark.parametrize("argument", ["-n", "-np", "--dry-run", "--unlock", "--lint", "--report=report.html"])
def test_commands_that_take_no_lock_are_let_through(locked, living, argument):
    locked(living)
    guard(["snakemake", argument])
    assert list(LOCKS.glob("*.lock"))


def test_the_package_of_a_clone_is_taken_for_its_own():
    driver_lock._check_place(Path(driver_lock.__file__).parents[3])
