"""Losses between two lines of the log."""

from __future__ import annotations

import pytest
import torch

from semiseg.engine import meters
from semiseg.hardware import distributed


@pytest.fixture
def reductions(monkeypatch):
    """Counts the collective operations of a reading; each is one wait for the device."""
    seen = []
    monkeypatch.setattr(distributed, "average", lambda values: (seen.append(values), values)[1])
    return seen


def filled(losses: dict[str, list[float]]) -> meters.Meters:
    result = meters.Meters(torch.device("cpu"))
    for step, values in enumerate(zip(*losses.values(), strict=True)):
        result.add(dict(zip(losses, map(torch.tensor, values), strict=True)), step)
        result.steps += 1
    return result


def test_a_line_of_the_log_is_one_reduction(reductions):
    assert filled({"a": [1.0, 3.0], "b": [0.5, 0.0]}).read() == {"a": 2.0, "b": 0.25}
    assert len(reductions) == 1


def test_what_is_not_finite_is_named_with_its_first_iteration(reductions):
    broken = filled({"a": [1.0, 1.0, 1.0], "b": [1.0, float("nan"), float("inf")]})
    for ask in (broken.check, broken.read):
        with pytest.raises(meters.LossNotFinite) as caught:
            ask()
        assert caught.value.details == {"loss": "b", "iteration": 1}
