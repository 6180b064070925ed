"""The memory, compared with a simple implementation by lists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from semiseg.models import class_memory

CLASSES, WIDTH = 3, 2


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 10_000), some.integers(1, 9), some.integers(1, 9), some.floats(0, 1))
def test_it_holds_the_last_vectors_of_each_class(seed, first, size, share):
    generator = torch.Generator().manual_seed(seed)
    bank = class_memory.make(CLASSES, first, size, WIDTH)
    lists = [[] for _ in range(CLASSES)]
    for _ in range(5):
        vectors = torch.rand(7, WIDTH, generator=generator)
        mask = torch.rand(CLASSES, 7, generator=generator) < share
        class_memory.remember(bank, vectors, mask)
        for one, chosen in zip(lists, mask, strict=True):
            one += [vector for vector, is_in in zip(vectors.tolist(), chosen.tolist(), strict=True) if is_in]
    for label, (one, room) in enumerate(zip(lists, [first, size, size], strict=True)):
        held = one[-room:]
        count = max(len(held), 1)
        shares = torch.zeros(CLASSES, 1, count)
        shares[label, 0] = (torch.arange(count) + 0.5) / count
        found = class_memory.recall(bank, shares)[label, 0]
        assert torch.allclose(found, torch.tensor(held) if held else torch.zeros(1, WIDTH))
        assert bank["seen"][label] == len(one)


@settings(max_examples=60, deadline=None)
@given(some.lists(some.lists(some.booleans(), min_size=6, max_size=6), min_size=1, max_size=4), some.integers(0, 9999))
def test_draws_are_those_of_the_chosen_positions(rows, seed):
    mask = torch.tensor(rows)
    shares = np.random.default_rng(seed).random((len(rows), 50))
    shares[:, 0], shares[:, 1] = 0.0, np.nextafter(1, 0)
    found = class_memory.drawn(mask, torch.from_numpy(shares))
    for chosen, numbers, positions in zip(rows, shares, found.tolist(), strict=True):
        there = [place for place, is_in in enumerate(chosen) if is_in]
        if there:
            assert positions == [there[int(number * len(there))] for number in numbers]
        else:
            assert all(0 <= position < 6 for position in positions)


def test_info_nce_and_its_gradient():
    generator = torch.Generator().manual_seed(0)
    anchors, positive, negatives = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((2, 3, 4), (2, 4), (2, 3, 5, 4))
    )
    found = class_memory.info_nce(anchors, positive, negatives, 0.5)
    for c in range(2):
        for a in range(3):
            others = [positive[c], *negatives[c, a]]
            scores = [float(torch.cosine_similarity(anchors[c, a], other, dim=0)) / 0.5 for other in others]
            assert found[c, a] == pytest.approx(np.log(np.exp(scores).sum()) - scores[0])
    anchors.requires_grad_()
    assert torch.autograd.gradcheck(lambda a: class_memory.info_nce(a, positive, negatives, 0.5), anchors)


def test_a_class_whose_memory_is_empty_teaches_nothing():
    """The class has no negatives, but its anchors count."""
    bank, keys = class_memory.make(2, 4, 4, WIDTH), torch.eye(2).repeat(3, 1)
    first, second = torch.arange(6) % 2 == 0, torch.arange(6) % 2 == 1
    both = torch.stack([first, second], 1)
    shares = torch.rand(2, 3, 1 + 2, generator=torch.Generator().manual_seed(0))

    def own(places):
        return keys[places], torch.ones(2, 3, dtype=torch.bool)

    def contrast(negative):
        bank["seen"].zero_()
        return class_memory.contrast(bank, keys, (both, both, negative), shares, own, 0.5)

    alone, count = contrast(torch.stack([second, torch.zeros_like(first)], 1))
    together, _ = contrast(torch.stack([second, first], 1))
    assert count == 6 and 0 < alone < together
    assert together == pytest.approx(2 * float(alone)), "the classes mirror each other"
