"""Two drivers in one folder, and locks whose owner is gone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from semiseg.driver import LOCKS, OWNER, guard
from semiseg.errors import UserError
from semiseg.runs.lease import identity


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


def test_a_dead_owners_lock_is_removed_with_a_sentence(locked, capsys):
    owner = dead()
    locked(owner)
    guard(["snakemake", "all"])
    assert not list(LOCKS.glob("*.lock"))
    assert f"removed the lock of process {owner['pid']}" in capsys.readouterr().err
    assert json.loads(OWNER.read_text())["pid"] == identity()["pid"], "who works here now is noted"


def test_a_living_owner_is_named(locked):
    locked(identity())
    with pytest.raises(UserError, match=f"process {identity()['pid']}.*kill -INT"):
        guard(["snakemake", "all"])
    assert list(LOCKS.glob("*.lock"))


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


@pytest.mark.parametrize("argument", ["-n", "--dry-run", "--unlock", "--lint", "--report=report.html"])
def test_commands_that_take_no_lock_are_let_through(locked, argument):
    locked(identity())
    guard(["snakemake", argument])
    assert list(LOCKS.glob("*.lock"))
