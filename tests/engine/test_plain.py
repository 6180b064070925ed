"""What makes a step fast must not change it: fast against plain options in fp32."""

from __future__ import annotations

import pytest
import torch

from semiseg.hardware.device import Speed
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
