"""A vision transformer in the engine: trained with UniMatch V2, resumed, divided among processes, predicting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from semiseg.cli import main
from semiseg.engine.storage import checkpoint
from tests import tiny
from tests.engine.conftest import SGD, distance, gradients, only_training, train_steps
from tests.hardware.test_distributed import run_two

DPT = {"architecture": "dpt", "encoder": "tiny_vit"}


def weights(training) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, network in training.state.stored.items()
        for key, value in network.state_dict().items()
    }


def test_a_resumed_training_ends_with_the_same_bits(build):
    whole = build("unimatch_v2", network=DPT)
    train_steps(whole, 4)
    half = build("unimatch_v2", name="half", network=DPT)
    train_steps(half, 2)
    checkpoint.save(half.folder.path, half._state())
    resumed = only_training()
    resumed._resume()
    assert resumed.iteration == 2
    train_steps(resumed, 2)
    expected, found = weights(whole), weights(resumed)
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert any(not torch.equal(value, weights(half)[key]) for key, value in expected.items())


def test_the_encoder_learns_at_a_fraction_of_the_heads_rate(build):
    training = build("unimatch_v2", network=DPT, optimiser={"name": "adamw", "lr": 1e-4, "head_lr_multiplier": 40})
    before = weights(training)
    train_steps(training, 1)
    moved = {key: (value - before[key]).abs().max().item() for key, value in weights(training).items()}
    encoder = max(value for key, value in moved.items() if key.startswith("student.encoder."))
    head = max(value for key, value in moved.items() if key.startswith("student.head."))
    assert head == pytest.approx(40 * encoder, rel=0.1), "Adam's first step is as long as the rate"


def test_two_processes_train_as_one_does(build, tmp_path):
    alone = build("unimatch_v2", network=DPT, optimiser=SGD)
    losses = train_steps(alone, 2)

    def work(rank):
        half = only_training()
        return train_steps(half, 2), gradients(half)

    for found, slopes in run_two(tmp_path, work):
        assert found == pytest.approx(losses, rel=1e-4)
        assert distance(gradients(alone), slopes) < 1e-3


@pytest.mark.parametrize("control", ["oracle", "shuffled"])
def test_controls_change_what_it_learns_from(build, control):
    plain = train_steps(build("unimatch_v2", network=DPT, options={"confidence": 0.0}), 1)
    changed = train_steps(
        build("unimatch_v2", name=control, network=DPT, options={"confidence": 0.0, "control": control}), 1
    )
    assert changed["supervised"] == plain["supervised"]
    assert changed["strong1"] != plain["strong1"] and changed["strong2"] != plain["strong2"]


def test_a_finished_run_predicts_and_is_exported(trainer, tmp_path, monkeypatch):
    content = tiny.params({"unimatch_v2": {}}, splits={"partitions": [4]}, recipe={"network": DPT})
    run = trainer(content)
    image = np.random.default_rng(1).integers(0, 256, (45, 70, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "1.png")
    main(["predict", str(run), str(tmp_path / "1.png"), "--out", str(tmp_path / "out")])
    assert np.asarray(Image.open(tmp_path / "out/index/1.png")).shape == (45, 70)
    main(["export", str(run), "--onnx", str(tmp_path / "network.onnx")])
    assert (tmp_path / "network.onnx").stat().st_size > 50_000
