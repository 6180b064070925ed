"""The teacher, compared with an average that is computed number by number."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from semiseg.engine import ema


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


@pytest.mark.parametrize("foreach", [True, False])
def test_average_equals_a_loop(foreach):
    student = network(0)
    teacher = ema.make_teacher(student)
    average = ema.Average(teacher, student, foreach)
    expected = {key: value.clone() for key, value in teacher.state_dict().items()}
    for step in range(4):
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.add_(torch.randn_like(parameter))
        student(torch.randn(2, 3, 8, 8))  # moves the running statistics and counts a batch
        decay = ema.decay_at(step, 0.7, warm_start=True)
        average.update(decay)
        for key, value in student.state_dict().items():
            if value.is_floating_point():
                expected[key] = decay * expected[key] + (1 - decay) * value
            else:
                expected[key] = value.clone()
    found = teacher.state_dict()
    assert "1.running_mean" in found and found["1.num_batches_tracked"] == 4
    for key, value in expected.items():
        assert torch.allclose(found[key], value, atol=1e-6), key
    assert not torch.equal(found["1.running_mean"], student.state_dict()["1.running_mean"])


def test_teacher_shares_nothing_with_its_student_and_never_trains():
    """In iMAS's code the teacher starts as the student, and both move together."""
    student = network(0)
    teacher = ema.make_teacher(student)
    pointers = {tensor.data_ptr() for tensor in [*student.parameters(), *student.buffers()]}
    assert not pointers & {tensor.data_ptr() for tensor in [*teacher.parameters(), *teacher.buffers()]}
    assert not teacher.training and not any(parameter.requires_grad for parameter in teacher.parameters())
    assert student.training and all(parameter.requires_grad for parameter in student.parameters())


def test_restored_weights_are_the_ones_that_are_averaged():
    """load_state_dict copies into the tensors that the average has listed."""
    student = network(0)
    teacher = ema.make_teacher(student)
    average = ema.Average(teacher, student, True)
    student.load_state_dict(network(1).state_dict())
    average.update(0.0)
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), student.parameters(), strict=True))


@pytest.mark.parametrize(
    ("iteration", "warm_start", "expected"),
    [(0, True, 0.0), (1, True, 0.5), (9, True, 0.9), (98, True, 0.98989899), (99, True, 0.99), (500, True, 0.99),
     (0, False, 0.99), (500, False, 0.99)],
)  # fmt: skip
def test_warm_start(iteration, warm_start, expected):
    """min(1 - 1/(iteration + 1), decay)"""
    assert ema.decay_at(iteration, 0.99, warm_start) == pytest.approx(expected)


def test_counters_take_one_call_for_all(monkeypatch):
    student = nn.Sequential(*(nn.BatchNorm2d(2) for _ in range(5)))
    average = ema.Average(ema.make_teacher(student), student, True)
    calls = Counter()

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            calls[str(function)] += 1
            return function(*args, **(kwargs or {}))

    with Counting():
        average.update(0.5)
    assert calls == {"aten._foreach_lerp_.Scalar": 1, "aten._foreach_copy_.default": 1}
