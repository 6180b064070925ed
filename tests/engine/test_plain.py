"""Speed options must not change a step: fast and plain options are compared in fp32."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from semiseg.hardware.device import Speed
from semiseg.models.student import SecondPlayer
from tests.engine.conftest import METHODS, SGD, distance, gradients, train_steps

FAST = {"plain": False, "precision": "fp32", "compile": True}
PLAIN = {"plain": True, "precision": "bf16", "compile": True}


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_fast_and_plain_options_are_equal(method, build):
    """Layout, foreach and fused kernels in fp32: within 1e-4 relative, after a step that has used all of them."""
    found = {}
    for name, engine in (("fast", FAST), ("plain", PLAIN)):
        training = build(method, name=name, engine=engine, optimiser=SGD)
        losses = train_steps(training, 2)
        teacher = {key: value for key, value in training.state.evaluated["teacher"].state_dict().items()
                   if value.is_floating_point()}  # fmt: skip
        found[name] = losses, gradients(training), teacher
    assert found["fast"][0] == pytest.approx(found["plain"][0], rel=1e-4, abs=1e-6)
    assert distance(found["fast"][1], found["plain"][1]) < 1e-4
    assert distance(found["fast"][2], found["plain"][2]) < 1e-4


def test_compiled_networks_give_what_eager_ones_give(build, monkeypatch):
    """Through torch's tracer, without generated code: shapes, modes and gradients as the engine uses them."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend="eager", **options))
    eager = build("unimatch", engine=FAST, optimiser=SGD)
    losses = train_steps(eager, 2)
    monkeypatch.setattr(Speed, "__init__", with_compilation(Speed.__init__))
    compiled = build("unimatch", name="compiled", engine=FAST, optimiser=SGD)
    said = []
    for student in (*compiled.state.students, compiled.state.teacher):
        for part in (student._forward, student._encode, student._decode):
            part.say = said.append
    assert train_steps(compiled, 2) == pytest.approx(losses, rel=1e-4)
    assert distance(gradients(eager), gradients(compiled)) < 1e-4
    assert not said


def with_compilation(make):
    def init(self, settings, device):
        make(self, settings, device)
        self.eager_because = None

    return init


def test_the_discriminator_runs_with_the_speed_options(build):
    """bf16, channels last, compiled: as the students do."""
    seen = SimpleNamespace(dtype=None, last=None, compiled=[])

    class Conv(nn.Conv2d):
        def forward(self, maps):
            result = super().forward(maps)
            seen.dtype, seen.last = result.dtype, maps.is_contiguous(memory_format=torch.channels_last)
            return result

    speed = Speed({"plain": False, "precision": "bf16", "compile": False}, torch.device("cpu"))
    speed.compiled = lambda function, say: (seen.compiled.append(function), function)[1]
    network = Conv(3, 1, 3, padding=1)
    player = SecondPlayer(network, speed, print)
    player(torch.rand(2, 3, 8, 8))
    assert (seen.dtype, seen.last, seen.compiled) == (torch.bfloat16, True, [network.forward])
    seen.dtype = seen.last = None
    player.eager(torch.rand(2, 3, 8, 8))
    assert (seen.dtype, seen.last) == (torch.bfloat16, True)

    training = build("advsemiseg")
    assert isinstance(training.state.player, SecondPlayer)
    player, calls = training.state.player, []
    training.state.player = lambda maps: (calls.append(len(maps)), player(maps))[1]
    train_steps(training, 1)
    assert calls == [8, 8], "students' turn, own turn; 4 labelled and 4 unlabelled images"
    first = training.state.auxiliary.layers[0].weight
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_parts_of_a_batch_are_told_apart(build):
    training = build("fixmatch", optimiser=SGD | {"accumulate": 2})
    parts, losses = [], training.method.losses
    training.method.losses = lambda batch, step: (parts.append(step.draws.part), losses(batch, step))[1]
    train_steps(training, 2)
    assert parts == [0, 1, 0, 1]


@pytest.mark.parametrize(("method", "judged"), [("supervised", False), ("fixmatch", True)])
def test_only_methods_with_pseudo_labels_are_diagnosed(method, judged, build):
    training = build(method)
    training.judge.diagnose(4, training.method, training.state)
    assert training.judge.log.path.exists() == judged
