"""Speed options for a device, their entry in the record, and the fallback after a compiler error."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semiseg.hardware import device
from semiseg.hardware.device import Speed
from tests.forked import forked

FAST = {"plain": False, "precision": "auto", "compile": True, "deterministic": False}
PLAIN = {"plain": True, "precision": "bf16", "compile": True, "deterministic": False}
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def card(monkeypatch):
    """`card(bf16, tf32)`: torch reports a GPU with these abilities."""

    def make(bf16: bool, tf32: bool) -> None:
        # torch counts what it emulates as supported unless it is told not to
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation
        )
        monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: tf32)

    return make


@pytest.fixture
def process(monkeypatch):
    """Restores the settings of the process."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.get_float32_matmul_precision()
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = before[:3]
    torch.set_float32_matmul_precision(before[3])
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("bf16", "tf32", "wanted", "expected"),
    [
        (True, True, "auto", "bf16"),  # A100
        (False, False, "auto", "fp32"),  # V100 and T4 emulate bf16
        (False, False, "bf16", "bf16"),
        (False, False, "tf32", "fp32"),
        (True, True, "tf32", "tf32"),
        (True, True, "fp32", "fp32"),
    ],
)
def test_precision_follows_the_card(bf16, tf32, wanted, expected, card):
    card(bf16, tf32)
    assert Speed(FAST | {"precision": wanted}, GPU).precision == expected


@pytest.mark.parametrize(("wanted", "products"), [("fp32", "highest"), ("tf32", "high"), ("bf16", "high")])
def test_fp32_means_that_no_product_is_rounded_to_tf32(wanted, products, card, process):
    card(True, True)
    device.prepare(Speed(FAST | {"precision": wanted}, GPU))
    assert torch.get_float32_matmul_precision() == products
    assert torch.backends.cudnn.allow_tf32 == (products == "high")
    assert torch.backends.cudnn.benchmark and not torch.are_deterministic_algorithms_enabled()


def test_deterministic_leaves_nothing_to_chance(card, process, monkeypatch):
    card(True, True)
    device.prepare(speed := Speed(FAST | {"deterministic": True}, GPU))
    assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark, "which algorithm a search finds depends on the day"
    assert device.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert speed.record()["deterministic"]
    assert speed.record()["cudnn"] == {
        "benchmark": False,
        "deterministic": True,
        "version": torch.backends.cudnn.version(),
    }


def test_plain_settings_of_the_process(card, process):
    card(True, True)
    device.prepare(Speed(PLAIN, GPU))
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cudnn.benchmark


@pytest.mark.parametrize("tf32", [True, False])
def test_cudnn_does_not_search_while_sizes_vary(tf32, process):
    cudnn = torch.backends.cudnn
    cudnn.benchmark, cudnn.allow_tf32 = True, tf32
    with pytest.raises(ZeroDivisionError), device.sizes_vary():
        assert (cudnn.benchmark, cudnn.allow_tf32) == (False, tf32)
        raise ZeroDivisionError
    assert (cudnn.benchmark, cudnn.allow_tf32) == (True, tf32)


@pytest.mark.parametrize(
    ("settings", "place", "reason"),
    [
        (FAST, GPU, None),
        (FAST, CPU, "GPUs only"),
        (FAST | {"compile": False}, GPU, "engine.compile is false"),
        (PLAIN, GPU, "engine.plain"),
    ],
)
def test_the_record_says_why_nothing_is_compiled(settings, place, reason, card):
    card(True, True)
    record = Speed(settings, place).record()
    assert record["compiled"] == (reason is None)
    assert record["eager_because"] is reason or reason in record["eager_because"]


def test_the_record_of_a_cpu():
    assert Speed(FAST, CPU).record() == {
        "channels_last": True,
        "compiled": False,
        "cudnn": None,
        "deterministic": True,
        "eager_because": "networks are compiled on GPUs only",
        "precision": "fp32",
        "tf32": False,
    }


def test_plain_switches_everything_off(card):
    card(True, True)
    fast, plain = (Speed(settings, GPU) for settings in (FAST, PLAIN))
    assert (fast.bf16, fast.fused, fast.channels_last, fast.compiles) == (True,) * 4
    assert (plain.bf16, plain.fused, plain.channels_last, plain.compiles) == (False,) * 4
    assert plain.plain and plain.autocast().__class__.__name__ == "nullcontext"
    assert plain.arranged(image := torch.rand(2, 3, 4, 4)) is image
    assert fast.arranged(image).is_contiguous(memory_format=torch.channels_last)


def test_bf16_is_for_gpus_unless_asked_for():
    assert not Speed(FAST, CPU).bf16
    assert Speed(FAST | {"precision": "bf16"}, CPU).bf16


class Failing:
    """A compiler that fails at the first call, like Triton without a C compiler."""

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
    speed = Speed(FAST, GPU)
    function = speed.compiled(double, said.append)
    assert [function(1), function(2), function(3)] == [2, 4, 6]
    assert compiler.calls == 1
    record = speed.record()
    assert not record["compiled"] and "no C compiler" in record["eager_because"]
    [message] = said
    assert "eagerly" in message and "no C compiler" in message and "trace" not in message


def test_all_parts_of_a_network_say_it_once(monkeypatch):
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


def test_images_of_any_size_are_seen_without_a_search(process):
    """Diagnostics show whole images to the networks of a training, whose crops have one size."""
    from semiseg.models.student import SecondPlayer, Student

    class Net(nn.Module):
        def forward(self, x):
            searched.append(torch.backends.cudnn.benchmark)
            return x

        encode = decode = forward

    searched, image = [], torch.zeros(1, 3, 2, 2)
    torch.backends.cudnn.benchmark = True
    student, player = (kind(Net(), Speed(FAST, CPU), print) for kind in (Student, SecondPlayer))
    student.eager(image), player.eager(image), student(image), player(image)
    assert searched == [False, False, True, True]


def test_out_of_memory_is_not_taken_for_a_failing_compiler(monkeypatch):
    monkeypatch.setattr(torch, "compile", Failing(torch.OutOfMemoryError("full")))
    said = []
    with pytest.raises(torch.OutOfMemoryError):
        Speed(FAST, GPU).compiled(double, said.append)(1)
    assert not said


def test_a_wrong_call_is_not_taken_for_a_failing_compiler(monkeypatch):
    """The plain function fails too, and its error is shown."""
    monkeypatch.setattr(torch, "compile", Failing(RuntimeError("no")))
    with pytest.raises(TypeError):
        Speed(FAST, GPU).compiled(lambda: 0, lambda text: None)(1)


def test_a_backward_pass_that_cannot_be_compiled_falls_back_too(monkeypatch):
    """torch compiles it when it first runs; the statistics of batch normalisation have moved by then."""
    from torch._dynamo.backends.common import aot_autograd

    def fails(graph, inputs):
        raise RuntimeError("no code for this gradient")

    def work():
        backend, real = aot_autograd(fw_compiler=lambda graph, inputs: graph, bw_compiler=fails), torch.compile
        monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend=backend, **options))
        network, said = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), []
        speed = Speed(FAST, GPU)
        forward = speed.compiled(network.forward, said.append)
        forward(torch.rand(2, 3, 8, 8)).square().sum().backward()
        assert network[0].weight.grad.any()
        assert network[1].num_batches_tracked == 1, "one step counts once"
        assert "no code for this gradient" in speed.record()["eager_because"] and len(said) == 1

    forked(work)  # tracing a gradient starts threads that no fork survives
