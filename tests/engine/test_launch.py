"""Several processes request one run: leases, and processes whose request is superseded."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import yaml

from semiseg.base.files import read_json, write_json
from semiseg.engine import launch
from semiseg.runs import lease
from semiseg.runs.run_folder import RunFolder
from tests import tiny
from tests.engine.conftest import in_child, losses_and_scores, start

CONTENT = tiny.params(splits={"partitions": [4]})
RUN = Path("results/tiny/runs/tiny/stratified-0-4/supervised/default/seed0")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Shorten the time limits of leases to tenths of seconds."""
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease.hold.__wrapped__, "__defaults__", (0.05,))


def wait_for(path: Path, child: int) -> None:
    while not path.exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the child ended too early"
        time.sleep(0.005)


def code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def long(iterations: int) -> dict:
    return tiny.params(splits={"partitions": [4]}, recipe={"iterations": iterations},
                       evaluation={"every": iterations}, runtime={"checkpoint_every": 10 * iterations})  # fmt: skip


def test_the_second_waits_and_finds_the_run_finished(prepared, tmp_path, monkeypatch, capsys):
    where = prepared(long(150), tmp_path / "work")
    monkeypatch.chdir(where)
    child = in_child(where)
    wait_for(where / RUN / "lease.json", child)
    start()
    said = capsys.readouterr().out
    assert "waiting" in said and f"process {child}" in said and "was finished by another process" in said
    assert code(child) == 0
    assert not (where / RUN / "lease.json").exists()
    start()
    assert "finished already" in capsys.readouterr().out


def test_a_dead_holders_lease_is_taken_over(prepared, tmp_path, monkeypatch, trainer):
    undisturbed = trainer(CONTENT, "undisturbed")
    where = prepared(CONTENT, tmp_path / "work")
    monkeypatch.chdir(where)
    child = in_child(where)
    wait_for(where / RUN / "checkpoint.pt", child)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert (where / RUN / "lease.json").exists(), "it died holding it"
    start()
    assert losses_and_scores(where / RUN) == losses_and_scores(undisturbed)


@pytest.mark.parametrize(
    "holder",
    [{"host": socket.gethostname(), "pid": os.getpid(), "process_started": 1.0, "heartbeat": time.time()},
     {"host": "elsewhere", "pid": 1, "heartbeat": time.time() - 10_000}, {}],
    ids=["its number went to another process", "silent for hours on another host", "no lease at all"],
)  # fmt: skip
def test_who_counts_as_dead(holder, prepared, tmp_path, monkeypatch):
    where = prepared(tiny.params(splits={"partitions": [4]}, recipe={"iterations": 2}, evaluation={"every": 2}),
                     tmp_path / "work")  # fmt: skip
    monkeypatch.chdir(where)
    write_json(where / RUN / "lease.json", holder)
    start()
    assert (where / RUN / "spec.json").exists()


def test_a_superseded_run_stops_with_a_checkpoint_and_the_new_one_trains(prepared, trainer, tmp_path, monkeypatch):
    undisturbed = trainer(CONTENT, "undisturbed")
    where = prepared(long(100_000), tmp_path / "work")
    monkeypatch.chdir(where)
    child = in_child(where)
    wait_for(where / RUN / "record.json", child)
    (where / "params.yaml").write_text(yaml.safe_dump(CONTENT, sort_keys=False))
    start()
    assert code(child) == 75
    assert losses_and_scores(where / RUN) == losses_and_scores(undisturbed)
    for name in ("model.safetensors", "evaluations.npz", "spec.json"):
        assert (where / RUN / name).read_bytes() == (undisturbed / name).read_bytes()
    assert read_json(where / RUN / "record.json")["state"] == "done"


def test_what_the_superseded_run_leaves(prepared, tmp_path, monkeypatch):
    where = prepared(long(100_000), tmp_path / "work")
    monkeypatch.chdir(where)
    child = in_child(where)
    wait_for(where / RUN / "record.json", child)
    write_json(where / RUN / "lease.wanted.json", {"spec_sha256": "another"})
    assert code(child) == 75
    record = read_json(where / RUN / "record.json")
    assert record["state"] == "interrupted" and "another configuration" in record["error"]["message"]
    assert (where / RUN / "checkpoint.pt").exists() and not (where / RUN / "lease.json").exists()
    assert not (where / RUN / "spec.json").exists()


def test_signals_are_as_before_after_a_training(trainer):
    before = signal.getsignal(signal.SIGTERM)
    trainer(tiny.params(splits={"partitions": [4]}, recipe={"iterations": 2}, evaluation={"every": 2}))
    assert signal.getsignal(signal.SIGTERM) is before


def test_processes_of_one_torchrun_share_one_lease(tmp_path, monkeypatch):
    """The second neither waits for the first nor trains alone: it continues as soon as its sibling holds the lease."""
    monkeypatch.setenv("RANK", "1")
    folder = RunFolder(tmp_path)
    stranger = {"host": "here", "pid": 1}
    write_json(tmp_path / "lease.json", stranger)
    polls = []

    def sleep(seconds):
        polls.append(seconds)
        if len(polls) == 3:
            write_json(tmp_path / "lease.json", {"pid": sibling})

    sibling = os.fork()
    if sibling == 0:
        signal.pause()
        os._exit(0)
    try:
        monkeypatch.setattr(time, "sleep", sleep)
        monkeypatch.setattr(os, "getppid", os.getpid)  # the sibling's parent is this process
        with launch._follow(folder, "spec", lambda: False) as held:
            assert len(polls) == 3 and held.superseded is False
    finally:
        os.kill(sibling, signal.SIGKILL)
        os.waitpid(sibling, 0)
    assert read_json(tmp_path / "lease.json") == {"pid": sibling}, "it is the first one's to give back"


def test_torchrun_trains_the_run_once(prepared, tmp_path):
    """Two real processes share one lease, one record and one folder, and both succeed."""
    import subprocess

    recipe = {"iterations": 3, "batch": {"labelled": 4, "unlabelled": 4}, "gpus": 2}
    content = tiny.params({"fixmatch": {}}, splits={"partitions": [4]}, recipe=recipe, evaluation={"every": 3})
    where = prepared(content, tmp_path / "work")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "semiseg"]
    run = RUN.parents[2] / "fixmatch/default/seed0"
    done = subprocess.run([*command, "train", str(run)], cwd=where, capture_output=True, text=True, timeout=300,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_json(where / run / "record.json")["state"] == "done"
    assert (where / run / "spec.json").exists() and not (where / run / "lease.json").exists()
    lines = losses_and_scores(where / run)
    assert [line["iteration"] for line in lines if line["kind"] == "train"] == [3]


def test_data_that_were_found_unsound_are_not_trained_on(prepared, tmp_path, monkeypatch, capsys):
    from semiseg.cli import main

    monkeypatch.chdir(prepared(CONTENT, tmp_path / "work"))
    path = Path("data/tiny/manifest.json")
    manifest = read_json(path)
    manifest["verdict"]["problems"] = ["train_003.png is smaller than its mask"]
    path.unlink()  # the fixture's file is not ours to change
    write_json(path, manifest)
    with pytest.raises(SystemExit) as stop:
        main(["train", str(RUN)])
    assert stop.value.code == 2
    assert "found 1 problem, first: train_003.png is smaller than its mask" in capsys.readouterr().err
    assert not (RUN / "spec.json").exists()
