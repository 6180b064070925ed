"""A method's modules and buffers: their place, their updates, and how they are saved."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from torch import nn

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.cli import main
from semiseg.engine import owned
from semiseg.engine.storage import checkpoint
from semiseg.engine.train_state import TrainState
from semiseg.methods import Channels, Method
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig
from tests import tiny
from tests.engine.conftest import METHODS, NETWORK, SGD, distance, gradients, only_training, train_steps
from tests.hardware.test_distributed import run_two


class Owner(Method):
    """A projection of the coarsest features, trained towards the mean of all previous projections."""

    needs_teacher = True

    def owned(self, channels):
        self.channels = channels
        return {"projection": nn.Conv2d(channels.encoder[-1], 3, 1)}

    def buffers(self):
        return {"mean": torch.full((3,), 0.5), "steps": torch.zeros((), dtype=torch.int64)}

    def losses(self, batch, step):
        features = step.student.encode(batch.image)
        output = step.student.decode(features, batch.image.shape[-2:])
        projected = step.owned("projection", features[-1])
        rows = step.gather(projected.mean((2, 3)))
        pull = (projected - step.buffers["mean"][:, None, None]).square().mean((1, 2, 3))
        step.buffers["mean"].lerp_(rows.mean(0), 0.1)
        step.buffers["steps"].add_(1)
        mean = step.global_mean(pull.sum(), pull.new_full((), len(pull)))
        return {"supervised": step.supervised(output, batch.label), "pull": mean}


@pytest.fixture
def owner(monkeypatch):
    """Replace every method by this one."""
    for module in (methods, methods.method):
        monkeypatch.setattr(module, "load", lambda name: Owner)


def flat(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


@pytest.mark.parametrize(("network", "encoder", "decoder"), [
    ({"architecture": "small", "width": 4}, (4, 8, 16), 8),
    ({"architecture": "deeplab_v3plus", "encoder": "resnet18"}, (64, 512), 256),
    ({"architecture": "deeplab_v2", "encoder": "tu-resnet18"}, (512,), 512),
    ({"architecture": "unet", "encoder": "resnet18"}, (64, 64, 128, 256, 512), 16),
])  # fmt: skip
def test_the_method_is_told_the_channels_of_the_features(network, encoder, decoder):
    built = networks.build(NetworkConfig(**network), 3)
    before = {key: value.clone() for key, value in built.state_dict().items()}
    method = Owner(Owner.Options(), None)
    owned.give([built], method, (33, 47))
    assert method.channels == Channels(encoder, decoder)
    assert built.training
    after = built.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items()), "looking must not move statistics"


def test_a_method_without_modules_costs_no_look(monkeypatch):
    monkeypatch.setattr(owned, "_channels", None)
    kind = methods.load("fixmatch")
    owned.give([networks.build(NetworkConfig(), 3)], kind(kind.Options(), None), (64, 64))


def test_modules_are_trained_at_the_heads_rate_and_averaged(owner, build):
    training = build(
        options={}, optimiser=SGD | {"head_lr_multiplier": 10.0, "weight_decay": 0.0, "schedule": "constant"}
    )
    state = training.state
    module, average = (one.owned["projection"] for one in (state.students[0].network, state.teacher.network))
    train_steps(training, 1)  # warm start: the average of one is the student
    start = flat(module)
    before = flat(average)
    momentum = {id(p): s["momentum"].clone() for (ps, _), ss in
                zip(state.optimiser.groups, state.optimiser.state, strict=True)
                for p, s in zip(ps, ss, strict=True)}  # fmt: skip
    train_steps(training, 1)
    slope = torch.cat([(0.9 * momentum[id(p)] + p.grad).flatten() for p in module.parameters()])
    assert slope.abs().sum() > 0
    assert torch.allclose(flat(module), start - 10 * 0.01 * slope, atol=1e-6)
    assert torch.allclose(flat(average), 0.5 * before + 0.5 * flat(module), atol=1e-6)
    assert not any(parameter.requires_grad for parameter in average.parameters())


def same_state(one, other):
    for name, buffer in one.state.buffers.items():
        assert torch.equal(buffer, other.state.buffers[name]), name
    for mine, theirs in zip(one.state.stored.values(), other.state.stored.values(), strict=True):
        assert torch.equal(flat(mine), flat(theirs))


def resumed(build, method, options, steps):
    """An uninterrupted training, and one that was resumed from a checkpoint half-way."""
    whole = build(method, options)
    train_steps(whole, steps)
    half = build(method, options, name="half")
    train_steps(half, steps // 2)
    checkpoint.save(half.folder.path, half._state())
    last = only_training()
    last._resume()
    assert last.iteration == steps // 2
    train_steps(last, steps - steps // 2)
    return whole, last


def test_a_resumed_training_remembers(owner, build):
    whole, last = resumed(build, "supervised", {}, 4)
    same_state(whole, last)
    assert whole.state.buffers["steps"] == 4 and not (whole.state.buffers["mean"] == 0.5).any()


@pytest.mark.parametrize("method", ["corrmatch", "u2pl"])
def test_a_resumed_method_is_the_one_that_was_not_interrupted(method, build):
    whole, last = resumed(build, method, METHODS[method], 6)
    same_state(whole, last)


def test_a_finished_run_keeps_what_predictions_need(owner, trainer):
    run = trainer(tiny.params(splits={"partitions": [4]}))
    with safe_open(run / "model.safetensors", "pt") as stored:
        names = list(stored.keys())
    assert any(name.startswith("teacher.head.") for name in names)
    assert not any("owned" in name for name in names)
    from semiseg.inference.trained import load

    assert load(run, None, torch.device("cpu")).label == "student"


def test_two_processes_train_and_remember_what_one_does(owner, build, frozen_statistics, tmp_path):
    alone = build(options={}, optimiser=SGD)
    losses = train_steps(alone, 3)

    def work(rank):
        half = only_training()
        found = train_steps(half, 3)
        return found, gradients(half), half.state.buffers, flat(half.state.teacher.network)

    for found, slopes, buffers, weights in run_two(tmp_path, work):
        assert found == pytest.approx(losses, rel=1e-4)
        assert distance(gradients(alone), slopes) < 1e-3
        assert torch.allclose(buffers["mean"], alone.state.buffers["mean"], atol=1e-5)
        assert torch.allclose(weights, flat(alone.state.teacher.network), atol=1e-5)


def test_buffers_larger_than_the_device_are_one_sentence(owner, build, monkeypatch):
    huge = {"small": 3, "memory": 2**50}
    monkeypatch.setattr(Owner, "buffers", lambda self: {key: torch.zeros(size) for key, size in huge.items()})
    with pytest.raises(UserError, match=r"memory: the method's buffers take 4,194,304.0 GiB and cpu has .* smaller"):
        build(options={})
    monkeypatch.setattr(owned, "memory", lambda device: 10 * 4)
    huge["memory"] = 7
    state = build(options={}, name="fits").state
    assert isinstance(state, TrainState) and state.buffers["memory"].shape == (7,)


def test_a_memory_that_is_too_large_stops_the_plan_and_the_training(prepared, trainer, tmp_path, monkeypatch, capsys):
    """Exit code 2 and one sentence: more vectors than pixels at once, more bytes than the device has at the start."""
    too_large = tiny.params({"u2pl": {"options": METHODS["u2pl"] | {"memory": 10**6}}}, splits={"partitions": [4]})
    monkeypatch.chdir(prepared(too_large, tmp_path / "large"))
    with pytest.raises(SystemExit) as stopped:
        main(["plan"])
    assert stopped.value.code == 2
    assert "params.yaml: suites.tiny.methods.u2pl: memory, memory_first: give at most" in capsys.readouterr().err
    monkeypatch.setattr(owned, "memory", lambda device: 1000)
    with pytest.raises(SystemExit) as stopped:
        trainer(tiny.params({"u2pl": {"options": METHODS["u2pl"]}}, splits={"partitions": [4]}), "device")
    assert stopped.value.code == 2
    assert "memory: the method's buffers take" in capsys.readouterr().err


def test_networks_of_one_method_have_their_own_modules():
    pair = [networks.build(NetworkConfig.model_validate(NETWORK), 3) for _ in range(2)]
    owned.give(pair, Owner(Owner.Options(), None), (32, 32))
    assert not torch.equal(flat(pair[0].owned), flat(pair[1].owned))
