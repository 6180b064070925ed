"""Failures end with a message and a specific exit code, and leave a state to continue from."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from semiseg.base.errors import UserError
from semiseg.base.files import read_json
from semiseg.engine import train
from semiseg.engine.train import Training
from semiseg.methods.supervised import Supervised
from semiseg.splits import split_files
from tests import tiny
from tests.engine.conftest import losses_and_scores, only_training, start

CONTENT = tiny.params(splits={"partitions": [4]})  # 12 iterations, a checkpoint every 3, a line of the log every 4


@pytest.fixture
def undisturbed(trainer):
    return trainer(CONTENT, "undisturbed")


def same(one, other):
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert losses_and_scores(one) == losses_and_scores(other)


def spoil(monkeypatch, iteration, value):
    original = Supervised.losses

    def losses(self, batch, step):
        found = original(self, batch, step)
        return {name: loss * value if step.iteration == iteration else loss for name, loss in found.items()}

    monkeypatch.setattr(Supervised, "losses", losses)


def fails(trainer, code, content=CONTENT):
    with pytest.raises(SystemExit) as stopped:
        trainer(content)
    assert stopped.value.code == code
    [path] = Path("results").absolute().rglob("record.json")
    assert not (path.parent / "spec.json").exists() and not (path.parent / "lease.json").exists()
    return path.parent, read_json(path)


def test_no_image_without_a_label_is_told_with_the_cure(prepared, tmp_path, monkeypatch):
    """A user's folder is used with `full`, but has no images without masks."""
    monkeypatch.chdir(prepared(tiny.params({"fixmatch": {}}, splits={"partitions": [4]}), tmp_path / "work"))
    read_split = split_files.read_split
    monkeypatch.setattr(split_files, "read_split", lambda path: dataclasses.replace(read_split(path), unlabelled=()))
    with pytest.raises(UserError, match="fixmatch learns from images without labels.*choose fewer labels"):
        only_training()


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["nan", "inf"])
def test_a_loss_that_is_not_finite_is_named_with_its_iteration(value, trainer, undisturbed, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        spoil(patch, 4, value)
        run, record = fails(trainer, 3)
    assert record["state"] == "failed"
    assert record["error"]["loss"] == "supervised" and record["error"]["iteration"] == 4
    message = capsys.readouterr().err
    assert "'supervised'" in message and "iteration 4" in message and "recipe.optimiser.lr" in message
    # The weights are spoilt since iteration 4: of the two moments at which one is due, only the first is a checkpoint.
    assert torch.load(run / "checkpoint.pt", weights_only=True)["iteration"] == 3
    assert start().is_relative_to("results")
    same(undisturbed, run)


def test_losses_are_checked_before_a_checkpoint_and_not_only_in_the_log(trainer, monkeypatch):
    spoil(monkeypatch, 4, float("nan"))
    content = tiny.params(splits={"partitions": [4]}, runtime={"log_every": 100, "checkpoint_every": 3})
    run, record = fails(trainer, 3, content)
    assert record["iterations"] == 6, "stopped at the checkpoint after it"
    assert torch.load(run / "checkpoint.pt", weights_only=True)["iteration"] == 3


def test_out_of_memory_says_the_peak_and_what_to_lower(trainer, monkeypatch, capsys):
    step = Training.step

    def full(self, batch):
        if self.iteration == 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        step(self, batch)

    monkeypatch.setattr(Training, "step", full)
    _, record = fails(trainer, 4)
    said = capsys.readouterr().err
    assert record["state"] == "failed" and record["error"]["type"] == "OutOfMemory"
    for words in ("out of memory", " MiB", "recipe.optimiser.accumulate", "recipe.batch", "recipe.crop"):
        assert words in said and words in record["error"]["message"]
    assert "Traceback" not in said


def test_out_of_memory_while_the_networks_are_made_is_no_crash_either(trainer, monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(train, "TrainState", full)
    fails(trainer, 4)


@pytest.mark.parametrize("wrapped", [False, True], ids=["the system's error", "torch's own"])
def test_full_disk_keeps_the_last_good_checkpoint(wrapped, trainer, undisturbed, monkeypatch, capsys):
    save, calls = torch.save, []

    def full(state, stream):
        calls.append(stream)
        if len(calls) != 2:
            return save(state, stream)
        stream.write(b"half a checkpoint")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            if wrapped:
                raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 128 vs 0")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        run, record = fails(trainer, 2)
    assert record["state"] == "failed"
    said = capsys.readouterr().err
    assert "the disk is too full for the checkpoint" in said and "Traceback" not in said
    assert torch.load(run / "checkpoint.pt", weights_only=True)["iteration"] == 3
    assert not [path.name for path in run.iterdir() if path.name.endswith(".tmp")]
    start()
    same(undisturbed, run)


def test_full_disk_while_results_are_written(trainer, undisturbed, monkeypatch, capsys):
    """safetensors wraps the system's error in another error."""
    import safetensors.torch

    def full(tensors, path):
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full)
        run, _ = fails(trainer, 2)
    assert "is full; free some space" in capsys.readouterr().err
    start()
    same(undisturbed, run)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 800 KiB, if the user may mount one."""
    place = tmp_path / "work" / "results"
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", str(place)]
    try:
        mounted = sys.platform == "linux" and subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a file system")
    yield place
    os.chdir("/")
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk, trainer, undisturbed, monkeypatch, capsys):
    step = Training.step

    def and_fill(self, batch):
        step(self, batch)
        if self.iteration == 5:
            with (small_disk / "filler").open("wb", buffering=0) as stream, suppress(OSError):
                while stream.write(bytes(4096)):
                    pass

    with monkeypatch.context() as patch:
        patch.setattr(Training, "step", and_fill)
        with pytest.raises(SystemExit) as stopped:
            trainer(CONTENT)
    assert stopped.value.code == 2
    assert "free some space and repeat the command" in capsys.readouterr().err
    (small_disk / "filler").unlink()
    run = start()
    same(undisturbed, run)
    assert read_json(run / "record.json")["resumed"] == 1
