"""The checkpoint from which a training continues; reading a checkpoint executes no code."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from semiseg.base.errors import UserError
from semiseg.engine.periodic_evaluation import Judge
from semiseg.engine.storage import checkpoint
from semiseg.engine.train import Training
from tests import tiny
from tests.engine.conftest import losses_and_scores, start

A = tiny.params(splits={"partitions": [4]})
B = tiny.params(splits={"partitions": [4]}, recipe={"optimiser": {"name": "adamw", "lr": 0.001}})


def state(iteration, spec="mine"):
    return {"spec_sha256": spec, "iteration": iteration, "student": {"weight": torch.full((3,), float(iteration))}}


def test_the_previous_one_is_kept(tmp_path):
    for iteration in (3, 6, 9):
        checkpoint.save(tmp_path, state(iteration))
    assert checkpoint.load(tmp_path, "mine")["iteration"] == 9
    (tmp_path / checkpoint.NAME).unlink()
    assert checkpoint.load(tmp_path, "mine")["iteration"] == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.PREVIOUS]


@pytest.mark.parametrize("length", [0, 1, 100, 1000, -1])
def test_a_torn_one_is_passed_over(length, tmp_path):
    checkpoint.save(tmp_path, state(3))
    checkpoint.save(tmp_path, state(6))
    whole = (tmp_path / checkpoint.NAME).read_bytes()
    (tmp_path / checkpoint.NAME).write_bytes(whole[:length])
    assert checkpoint.load(tmp_path, "mine")["iteration"] == 3


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps([1, 2]), b"\0" * 5000, b"PK\x03\x04 no archive"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_that_is_no_checkpoint_is_passed_over(content, tmp_path):
    (tmp_path / checkpoint.NAME).write_bytes(content)
    assert checkpoint.load(tmp_path, "mine") is None


@pytest.mark.parametrize("value", [[1, 2], {"iteration": 3}, torch.zeros(2), None, "text"], ids=type)
def test_a_readable_file_that_holds_something_else_is_passed_over(value, tmp_path):
    checkpoint.save(tmp_path, state(3))
    checkpoint.save(tmp_path, state(6))
    torch.save(value, tmp_path / checkpoint.NAME)
    assert checkpoint.load(tmp_path, "mine")["iteration"] == 3


def test_another_configurations_one_is_not_a_start(tmp_path):
    checkpoint.save(tmp_path, state(3))
    checkpoint.save(tmp_path, state(6, "other"))
    assert checkpoint.load(tmp_path, "mine")["iteration"] == 3
    assert checkpoint.load(tmp_path, "third") is None


class Harmful:
    ran = False

    def __reduce__(self):
        return (exec, ("from tests.engine.storage.test_checkpoint import Harmful; Harmful.ran = True",))


def test_reading_runs_no_code(tmp_path):
    torch.save(state(3) | {"harmful": Harmful()}, tmp_path / checkpoint.NAME)
    assert checkpoint.load(tmp_path, "mine") is None
    assert not Harmful.ran
    torch.load(tmp_path / checkpoint.NAME, weights_only=False)
    assert Harmful.ran, "it would have"


def test_weights_and_optimisers_of_a_real_training_load_without_code(build):
    training = build("advsemiseg")
    checkpoint.save(training.folder.path, training._state())
    loaded = checkpoint.load(training.folder.path, "spec")
    assert {"student", "teacher", "optimiser", "auxiliary", "auxiliary_optimiser", "meters", "costs"} <= set(loaded)


@pytest.fixture
def dies_at(monkeypatch):
    """Let the next training be killed at this iteration."""
    step, moments = Training.step, []

    def dying(self, batch):
        if moments and self.iteration == moments[0]:
            moments.clear()
            raise KeyboardInterrupt
        step(self, batch)

    monkeypatch.setattr(Training, "step", dying)
    return moments.append


def test_changed_to_and_fro_it_ends_as_if_nothing_had_been(trainer, dies_at, tmp_path, monkeypatch):
    """A dies after a checkpoint.

    B starts again over A's metrics, and dies before its checkpoint; A must not mix both.
    """
    undisturbed = trainer(A, "undisturbed")
    for content, moment in ((A, 8), (B, 2)):
        dies_at(moment)
        with pytest.raises(SystemExit):
            trainer(content)
    run = trainer(A)
    assert losses_and_scores(run) == losses_and_scores(undisturbed)
    for name in ("evaluations.npz", "model.safetensors"):
        assert (run / name).read_bytes() == (undisturbed / name).read_bytes()


def test_torn_by_a_crash_it_goes_on_from_the_previous_one(trainer, dies_at):
    undisturbed = trainer(A, "undisturbed")
    dies_at(8)
    with pytest.raises(SystemExit):
        trainer(A)
    [path] = Path("results").rglob(checkpoint.NAME)
    path.write_bytes(path.read_bytes()[:2000])
    run = start()
    assert losses_and_scores(run) == losses_and_scores(undisturbed)
    assert (run / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


def test_evaluations_that_are_gone_are_not_passed_over(tmp_path):
    judge = Judge(None, {"every": 4, "protocol": {}}, {}, {}, [], [], tmp_path)
    judge.restart(3)
    with pytest.raises(UserError, match="evaluations.npz is missing, with the evaluations up to iteration 5"):
        judge.restart(5)
