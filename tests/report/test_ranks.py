"""Ranks over data sets: Friedman's statistic and Nemenyi's critical difference, written a second time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from semiseg.report import statistics
from semiseg.report.plots import ranks

METHODS = ("supervised", "mean_teacher", "fixmatch", "unimatch", "augseg", "imas", "u2pl")


def block(dataset, gains, *, partition="24", suite=None, head="pixel"):
    """Rows of a comparison.csv: the gain over supervised of each method, by name."""
    return [
        {"suite": suite or dataset, "dataset": dataset, "split_family": "random:0", "partition": partition,
         "head": head, "method": method, "variant": "default", "miou_last_mean": "50",
         "role": "baseline" if method == "supervised" else "method",
         "delta_vs_supervised": "" if method == "supervised" else str(gain)}
        for method, gain in {"supervised": 0.0, **gains}.items()
    ]  # fmt: skip


def in_order(dataset, order=METHODS, **options):
    """A block in which each method gains a point more than the one before it."""
    start = order.index("supervised")
    gains = {method: float(place - start) for place, method in enumerate(order) if method != "supervised"}
    return block(dataset, gains, **options)


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (3, 2.343), (5, 2.728), (7, 2.949), (10, 3.164)])
def test_the_critical_difference_is_that_of_demsars_table(methods, quantile):
    """Table 5(a) of Demšar (JMLR 2006), with 14 data sets."""
    expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 14))
    assert statistics.critical_difference(methods, 14) == pytest.approx(expected, rel=3e-4)


def test_fewer_sets_than_the_least_can_tell_nothing_apart():
    for methods in (3, 7, 15):
        least = statistics.least_sets(methods)
        assert statistics.critical_difference(methods, least) < methods - 1
        assert statistics.critical_difference(methods, least - 1) >= methods - 1, "unanimous ranks are not significant"


def test_nemenyis_test_errs_as_rarely_as_it_claims():
    """Methods that are alike: in at most 5 % of the studies do any two differ significantly."""
    random = np.random.default_rng(0)
    for sets in (3, 5, 8):
        drawn = random.random((4000, sets, len(METHODS))).argsort(-1).argsort(-1).mean(1)
        spread = drawn.max(1) - drawn.min(1)
        assert (spread >= statistics.critical_difference(len(METHODS), sets)).mean() < 0.05


def test_ranks_and_p_value_equal_a_slow_loop():
    random = np.random.default_rng(1)
    gains = {name: {method: float(gain) for method, gain in zip(METHODS[1:], random.normal(1, 2, 6), strict=True)}
             for name in ("a", "b", "c", "d")}  # fmt: skip
    found = ranks.over_sets([row for name, of_set in gains.items() for row in block(name, of_set)])
    mean = {}
    for method in METHODS:
        own = []
        for of_set in gains.values():
            values = {"supervised": 0.0, **of_set}
            own.append(1.0 + sum(other > values[method] for other in values.values()))
        mean[method] = sum(own) / len(own)
    count, sets = len(METHODS), len(gains)
    statistic = (
        12 * sets / (count * (count + 1)) * (sum(one**2 for one in mean.values()) - count * (count + 1) ** 2 / 4)
    )
    assert found.p == pytest.approx(chi2.sf(statistic, count - 1))
    assert found.mean == pytest.approx(sorted(mean.values()))
    assert found.labels[0] == ranks.names.label(min(mean, key=mean.get))


def test_a_data_set_counts_once_whatever_its_partitions_and_suites():
    three = [row for name in ("a", "b", "c") for row in in_order(name)]
    other = tuple(reversed(METHODS))
    more = [*in_order("c", other, partition="48"), *in_order("c", other, suite="second")]
    once, again = ranks.over_sets(three), ranks.over_sets(three + more)
    assert list(again.of_set) == ["a", "b", "c"] and once.mean == tuple(range(1, 8))
    assert again.of_set == {"a": (1, 2, 3, 4, 5, 6, 7), "b": (1, 2, 3, 4, 5, 6, 7), "c": (7, 6, 5, 4, 3, 2, 1)}
    assert again.mean == pytest.approx([3, 10 / 3, 11 / 3, 4, 13 / 3, 14 / 3, 5])


def test_what_differs_by_less_than_the_critical_difference_is_joined_by_a_bar():
    found = ranks.over_sets([row for name in "abcde" for row in in_order(name)])
    assert found.labels[0] == "U2PL" and found.critical == pytest.approx(4.03, abs=0.01)
    assert found.bars == [(0, 4), (1, 5), (2, 6)]
    assert "Over 5 data sets U2PL has the best mean rank, 1.0 of 7" in found.sentence
    assert "significantly better than Mean Teacher, Supervised." in found.sentence


def test_ranks_that_are_chance_are_called_so():
    orders = [METHODS, tuple(reversed(METHODS)), (*METHODS[3:], *METHODS[:3])]
    rows = [row for name, order in zip("abc", orders, strict=True) for row in in_order(name, order)]
    assert "do not differ significantly" in ranks.over_sets(rows).sentence


def test_too_little_is_a_sentence():
    two = [row for name in ("a", "b") for row in in_order(name)]
    assert ranks.over_sets(two) == (
        "Ranks over data sets need at least 3 data sets whose studies compare 6 or more methods; "
        "so far there are 2 (a, b)."
    )
    assert "so far there are 0." in ranks.over_sets([])
    small = in_order("small", METHODS[:4])
    assert "2 (a, b)" in ranks.over_sets([*two, *small]), "controls of a few methods are no such data set"
    others = ("supervised", "scl", "cps", "corrmatch", "cutmix_seg", "st_plus_plus")
    assert "6 methods that are compared on each of a, b, c; 1 are" in ranks.over_sets([*two, *in_order("c", others)])


def test_heads_are_ranked_apart_and_all_labels_not_at_all():
    rows = [row for name in "abc" for row in in_order(name)]
    mask = in_order("a", tuple(reversed(METHODS)), head="mask", partition="full")
    assert ranks.over_sets(rows + mask) == ranks.over_sets(rows)


def test_the_plot_is_the_same_bytes_again_and_names_every_method():
    found = ranks.over_sets([row for name in "abc" for row in in_order(name)])
    first, again = ranks.draw(found), ranks.draw(found)
    assert first == again and first["svg"].startswith(b"<?xml") and first["png"][1:4] == b"PNG"
    assert all(label in found.alt for label in found.labels)
