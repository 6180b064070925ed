"""Matching is optimal, one-to-one, and indifferent to absent columns."""

from __future__ import annotations

from itertools import permutations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.models import matching


def cheapest(cost: torch.Tensor, columns: list[int]) -> float:
    """The least total over all assignments of columns to rows, found by trying all."""
    rows = range(cost.shape[0])
    if len(columns) <= len(rows):
        choices = [list(zip(chosen, columns, strict=True)) for chosen in permutations(rows, len(columns))]
    else:
        choices = [list(zip(rows, chosen, strict=True)) for chosen in permutations(columns, len(rows))]
    return min(sum(float(cost[row, column]) for row, column in choice) for choice in choices)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 5), columns=st.integers(1, 5))
def test_matching_is_the_cheapest(seed: int, rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    cost = torch.randn(3, rows, columns, generator=generator)
    present = torch.rand(3, columns, generator=generator) < 0.7
    found = matching.match(cost, present)
    for k in range(3):
        wanted = present[k].nonzero().flatten().tolist()
        matched = (found[k] >= 0).nonzero().flatten().tolist()
        assert set(matched) <= set(wanted)
        assert len(matched) == min(rows, len(wanted))
        chosen = found[k, matched].tolist()
        assert len(set(chosen)) == len(chosen)
        total = sum(float(cost[k, row, column]) for row, column in zip(chosen, matched, strict=True))
        assert abs(total - (cheapest(cost[k], wanted) if wanted else 0)) < 1e-5


def test_whole_batch_is_copied_once(monkeypatch) -> None:
    copies = []
    original = matching._to_host
    monkeypatch.setattr(matching, "_to_host", lambda table: (copies.append(table.shape), original(table))[1])
    matching.match(torch.randn(12, 5, 3), torch.ones(12, 3, dtype=torch.bool))
    assert copies == [(12, 6, 3)]


def test_diverged_costs_do_not_stop_the_solver() -> None:
    cost = torch.tensor([[[float("nan"), float("inf")], [0.0, 1.0]]])
    found = matching.match(cost, torch.ones(1, 2, dtype=torch.bool))
    assert sorted(found[0].tolist()) == [0, 1]
