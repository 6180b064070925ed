from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from semiseg.feed.draws import Draws, philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, expected):
    """Known answers of the Random123 distribution, philox4x32 with 10 rounds."""
    counters = np.array(counter, dtype=np.uint32)[:, None]
    assert philox(np.repeat(counters, 3, axis=1), key).T.tolist() == [list(expected)] * 3


@given(
    seed=st.integers(0, 2**32 - 1),
    iteration=st.integers(0, 10**6),
    samples=st.lists(st.integers(0, 10**8), min_size=1, max_size=12, unique=True),
    n=st.integers(1, 9),
    data=st.data(),
)
def test_a_row_does_not_depend_on_its_company(seed, iteration, samples, n, data):
    whole = Draws(seed, iteration, samples)
    rows = data.draw(st.permutations(range(len(samples))))[: len(samples) // 2 + 1]
    part = Draws(seed, iteration, [samples[row] for row in rows])
    np.testing.assert_array_equal(whole.uniform("crop", n)[rows], part.uniform("crop", n))
    np.testing.assert_array_equal(whole.subset(rows).uniform("noise", n), part.uniform("noise", n))
    np.testing.assert_array_equal(whole.shared("order", n), part.shared("order", n))


def test_more_numbers_extend_fewer():
    few, many = (Draws(1, 2, [3, 4]).uniform("a", n) for n in (2, 8))
    np.testing.assert_array_equal(few, many[:, :2])


def test_every_part_of_the_key_matters():
    base = Draws(1, 2, [3]).uniform("a", 4)
    others = [
        Draws(2, 2, [3]).uniform("a", 4),
        Draws(1, 3, [3]).uniform("a", 4),
        Draws(1, 2, [4]).uniform("a", 4),
        Draws(1, 2, [3 + 2**32]).uniform("a", 4),
        Draws(1, 2, [3]).uniform("b", 4),
        Draws(1, 2, [0]).shared("a", 4)[None],
        Draws(1, 2, [0]).uniform("a", 4),
    ]
    drawn = [tuple(row.ravel()) for row in (base, *others)]
    assert len(set(drawn)) == len(drawn)


def test_laws():
    draws = Draws(1, 0, range(20000))
    assert stats.kstest(draws.uniform("u", 1, 2.0, 5.0).ravel(), stats.uniform(2, 3).cdf).pvalue > 1e-3
    neighbours = draws.uniform("u", 2)
    assert abs(np.corrcoef(neighbours.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(neighbours[:-1, 0], neighbours[1:, 0])[0, 1]) < 0.03


def test_permutation_is_one_and_changes_with_the_iteration():
    first, second = (Draws(0, iteration).permutation("order", 500) for iteration in (0, 1))
    assert sorted(first) == list(range(500))
    assert (first != second).mean() > 0.9
    np.testing.assert_array_equal(first, Draws(0, 0, [5, 6]).permutation("order", 500))


def test_no_samples_give_no_rows():
    assert Draws(0, 0).uniform("u", 3).shape == (0, 3)


def test_parts_of_a_batch_share_no_draw():
    """A batch in one part has the same draws as before; a sample's draws do not depend on its part."""
    first, second = (Draws(3, 7, [5, 6], part) for part in (0, 1))
    assert np.array_equal(first.shared("box", 4), Draws(3, 7).shared("box", 4))
    assert not np.isin(second.shared("box", 4), first.shared("box", 4)).any()
    assert not np.array_equal(second.permutation("order", 20), first.permutation("order", 20))
    assert np.array_equal(second.subset([0]).shared("box", 4), second.shared("box", 4))
    assert np.array_equal(second.uniform("crop", 4), first.uniform("crop", 4))
