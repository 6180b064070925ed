"""What makes a step fast must not change it: fast against plain options in fp32."""

from __future__ import annotations

import pytest
import torch

from semiseg.hardware.device import Speed
from tests.engine.conftest import METHODS, SGD, distance, gradients, train_steps

FAST = {"plain": False, "precision": "fp32", "compile": True}
PLAIN = {"plain": True, "precision": "bf16", "compile": True}
GPU = torch.device("cuda")


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


def test_plain_switches_everything_off(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    fast, plain = (Speed(settings, GPU) for settings in (FAST | {"precision": "auto"}, PLAIN))
    assert (fast.bf16, fast.fused, fast.channels_last, fast.compiles) == (True,) * 4
    assert (plain.bf16, plain.fused, plain.channels_last, plain.compiles) == (False,) * 4
    assert plain.plain and plain.autocast().__class__.__name__ == "nullcontext"
    assert plain.arranged(image := torch.rand(2, 3, 4, 4)) is image
    assert fast.arranged(image).is_contiguous(memory_format=torch.channels_last)


def test_bf16_is_for_gpus_unless_asked_for():
    cpu = torch.device("cpu")
    assert not Speed(FAST | {"precision": "auto"}, cpu).bf16
    assert Speed(FAST | {"precision": "bf16"}, cpu).bf16
    assert not Speed(FAST, cpu).compiles


class Failing:
    """A compiler that gives up at the first call, as Triton does where it finds no compiler for C."""

    def __init__(self, error):
        self.error, self.calls = error, 0

    def __call__(self, function, **options):
        def compiled(*arguments):
            self.calls += 1
            raise self.error

        return compiled


def double(x):
    return 2 * x


def test_a_failing_compiler_is_said_once_and_left(monkeypatch):
    compiler, said = Failing(RuntimeError("no C compiler\nlong trace")), []
    monkeypatch.setattr(torch, "compile", compiler)
    function = Speed(FAST, GPU).compiled(double, said.append)
    assert [function(1), function(2), function(3)] == [2, 4, 6]
    assert compiler.calls == 1
    [message] = said
    assert "eagerly" in message and "no C compiler" in message and "trace" not in message


def test_all_parts_of_a_network_say_it_once(monkeypatch):
    from torch import nn

    from semiseg.models.student import Student

    class Net(nn.Module):
        forward = encode = lambda self, x: x
        decode = lambda self, x, size: x[0]  # noqa: E731

    said = []
    monkeypatch.setattr(torch, "compile", Failing(RuntimeError("no")))
    student = Student(Net(), Speed(FAST, GPU), said.append)
    image = torch.zeros(1, 3, 2, 2)
    student(image), student.encode(image), student.decode([image], (2, 2)), student.frozen(image)
    assert len(said) == 1


def test_out_of_memory_is_not_taken_for_a_failing_compiler(monkeypatch):
    monkeypatch.setattr(torch, "compile", Failing(torch.OutOfMemoryError("full")))
    said = []
    with pytest.raises(torch.OutOfMemoryError):
        Speed(FAST, GPU).compiled(double, said.append)(1)
    assert not said


def test_a_wrong_call_is_not_taken_for_a_failing_compiler(monkeypatch):
    """The plain function fails too: its error is the one to see."""
    monkeypatch.setattr(torch, "compile", Failing(RuntimeError("no")))
    with pytest.raises(TypeError):
        Speed(FAST, GPU).compiled(lambda: 0, lambda text: None)(1)


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
        self.compiles = True

    return init
