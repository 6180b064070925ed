"""Each criterion equals a float64 loop written from its definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from semiseg.models import criteria

IGNORE = 255


def problem(seed: int, ignored: float = 0.3, size: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 4, size, size + 1, generator=generator)
    label = torch.randint(0, 4, (2, size, size + 1), generator=generator)
    label[torch.rand(label.shape, generator=generator) < ignored] = IGNORE
    return logits, label


def probabilities(logits: Tensor, label: Tensor) -> dict[tuple[int, int, int], list[float]]:
    """Softmax of every valid pixel."""
    found = {}
    for b, i, j in (label != IGNORE).nonzero().tolist():
        exponentials = [math.exp(v) for v in logits[b, :, i, j].double().tolist()]
        found[b, i, j] = [e / sum(exponentials) for e in exponentials]
    return found


def slow_cross_entropy(logits: Tensor, label: Tensor) -> float:
    losses = [-math.log(p[label[pixel]]) for pixel, p in probabilities(logits, label).items()]
    return sum(losses) / max(len(losses), 1)


def slow_ohem(logits: Tensor, label: Tensor, thresh: float, min_kept: int) -> float:
    true = [p[label[pixel]] for pixel, p in probabilities(logits, label).items()]
    if 0 < min_kept <= len(true):
        limit = max(thresh, sorted(true)[min_kept - 1])
        true = [p for p in true if p <= limit + 1e-7]
    return sum(-math.log(p) for p in true) / max(len(true), 1)


def slow_relaxed(logits: Tensor, label: Tensor) -> float:
    height, width = label.shape[1:]
    losses = []
    for (b, i, j), p in probabilities(logits, label).items():
        rows, columns = range(max(i - 1, 0), min(i + 2, height)), range(max(j - 1, 0), min(j + 2, width))
        near = {int(label[b, r, c]) for r in rows for c in columns} - {IGNORE}
        losses.append(-math.log(sum(p[c] for c in near)))
    return sum(losses) / max(len(losses), 1)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), ignored=st.sampled_from([0.0, 0.3, 0.95]))
def test_cross_entropy(seed: int, ignored: float) -> None:
    logits, label = problem(seed, ignored)
    assert float(criteria.cross_entropy(logits, label)) == pytest.approx(slow_cross_entropy(logits, label), abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), thresh=st.sampled_from([0.1, 0.7]), min_kept=st.sampled_from([0, 1, 20, 60, 500]))
def test_ohem(seed: int, thresh: float, min_kept: int) -> None:
    logits, label = problem(seed)
    found = float(criteria.ohem(logits, label, thresh, min_kept))
    assert found == pytest.approx(slow_ohem(logits, label, thresh, min_kept), abs=1e-5)


@pytest.mark.parametrize("min_kept", [5, 40, 500])
def test_ohem_ranks_the_pixels_of_all_processes_together(min_kept: int) -> None:
    """Each of two processes has one of the images; `gathered` replaces the data of other processes."""
    logits, label = problem(1)
    parts = [(logits[:1], label[:1]), (logits[1:], label[1:])]
    sent: list[list[Tensor]] = []

    def kept(part: tuple[Tensor, Tensor], gather) -> tuple[Tensor, Tensor]:
        sums = []
        criteria.ohem(*part, 0.3, min_kept, mean=lambda total, count: sums.append((total, count)), gather=gather)
        return sums[0]

    for part in parts:
        sent.append([])
        kept(part, lambda rows: sent[-1].append(rows) or rows)
    found = []
    for part in parts:
        everyones = iter([torch.cat(pair) for pair in zip(*sent, strict=True)])
        found.append(kept(part, lambda rows, everyones=everyones: next(everyones)))
    total, count = (sum(values) for values in zip(*found, strict=True))
    assert float(total / count) == pytest.approx(slow_ohem(logits, label, 0.3, min_kept), abs=1e-5)


def test_ohem_without_a_minimum_is_plain_cross_entropy() -> None:
    logits, label = problem(0)
    assert torch.equal(criteria.ohem(logits, label, 0.1, 0), criteria.cross_entropy(logits, label))
    assert not torch.equal(criteria.ohem(logits, label, 0.1, 1), criteria.cross_entropy(logits, label))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), ignored=st.sampled_from([0.0, 0.3, 0.95]))
def test_boundary_relaxed(seed: int, ignored: float) -> None:
    logits, label = problem(seed, ignored)
    assert float(criteria.boundary_relaxed(logits, label)) == pytest.approx(slow_relaxed(logits, label), abs=1e-5)


def test_relaxation_is_cross_entropy_where_one_class_is_near() -> None:
    logits, _ = problem(1)
    label = torch.full((2, 7, 8), 2)
    torch.testing.assert_close(criteria.boundary_relaxed(logits, label), criteria.cross_entropy(logits, label))


ALL = [criteria.cross_entropy, lambda x, y: criteria.ohem(x, y, 0.7, 10), criteria.boundary_relaxed]


@pytest.mark.parametrize("criterion", ALL)
def test_nothing_to_learn_from_is_zero_with_zero_gradient(criterion) -> None:
    logits = torch.randn(2, 4, 6, 6, requires_grad=True)
    loss = criterion(logits, torch.full((2, 6, 6), IGNORE))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("criterion", ALL)
def test_ignored_pixels_have_no_gradient(criterion) -> None:
    logits, label = problem(3)
    logits.requires_grad_()
    criterion(logits, label).backward()
    assert logits.grad.isfinite().all() and logits.grad.abs().sum() > 0
    assert (logits.grad.abs().sum(dim=1)[label == IGNORE] == 0).all()


@pytest.mark.parametrize("criterion", ALL)
def test_float32_under_autocast(criterion) -> None:
    logits, label = problem(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = criterion(logits.bfloat16(), label)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, criterion(logits.bfloat16().float(), label))


@pytest.mark.parametrize("criterion", [criteria.cross_entropy, criteria.ohem, criteria.boundary_relaxed])
def test_the_mean_can_be_taken_over_processes(criterion) -> None:
    """Two halves with unequal numbers of valid pixels, combined by their sums, equal the whole."""
    logits, label = problem(5)
    label[0, :4] = IGNORE
    sums = []

    def collect(total: Tensor, count: Tensor) -> Tensor:
        sums.append((total, count))
        return total

    for half in (slice(0, 1), slice(1, 2)):
        criterion(logits[half], label[half], mean=collect)
    (total_a, count_a), (total_b, count_b) = sums
    torch.testing.assert_close((total_a + total_b) / (count_a + count_b), criterion(logits, label))


class OnGpu(torch.Tensor):
    is_cuda = property(lambda self: True)


def test_the_threshold_of_hard_examples_is_the_same_by_either_way(monkeypatch):
    """A GPU takes topk, a CPU kthvalue."""
    with monkeypatch.context() as without:
        without.setattr(torch, "kthvalue", None)
        assert float(criteria.kth_smallest(torch.tensor([3.0, 1.0, 2.0]).as_subclass(OnGpu), 2)) == 2.0
    values = torch.rand(5000, generator=torch.Generator().manual_seed(0))
    for k in (1, 700, 5000):
        assert criteria.kth_smallest(values, k) == values.sort().values[k - 1]
        assert torch.topk(values, k, largest=False, sorted=False).values.amax() == values.sort().values[k - 1]
