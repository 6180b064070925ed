"""Our order of the methods beside the published one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from semiseg.report.tables import field_order, published

# Method -> published gain over 45.1, in a made column.
PUBLISHED = {"imas": 23.7, "unimatch": 30.1, "fixmatch": 18.8, "augseg": 26.0, "corrmatch": 31.3, "cps": 19.0}
NAMES = {"imas": "iMAS", "unimatch": "UniMatch", "fixmatch": "FixMatch", "augseg": "AugSeg", "corrmatch": "CorrMatch",
         "cps": "CPS (w/ CutMix)"}  # fmt: skip


def figure(name, value):
    return {
        "method": name, "dataset": "VOC2012", "protocol": "classic lists", "split_family": "classic",
        "split_partition": "92", "partition": "92", "labelled_images": 92, "backbone": "ResNet-101",
        "head": "DeepLabv3+", "metric": "mIoU", "evaluated_on": "val", "rule": "best", "evaluated_network": "unstated",
        "value": value, "source": "a paper", "confirmed": "yes",
    }  # fmt: skip


@pytest.fixture(autouse=True)
def column(monkeypatch):
    """One published column: AdvSemiSeg's own baseline and a second-hand figure do not count in it."""
    rows = [figure(NAMES[method], 45.1 + gain) for method, gain in PUBLISHED.items()]
    rows += [figure("AdvSemiSeg fully-supervised", 30.0), figure("Supervised-only (a repo)", 45.1)]
    rows += [figure("FixMatch (re-run by another paper)", 99.0)]
    monkeypatch.setattr(published, "stored", lambda: rows)


def row(method, gain, half=1.0, **changes):
    """A row of the comparison, as far as the order is concerned."""
    limits = (gain - half, gain + half) if half else (None, None)
    variant = "adv_semi" if method == "advsemiseg" else "default"
    return {
        "dataset": "oxford_pets", "split_family": "random", "split_sha256": None, "partition": "20", "labelled": 20,
        "head": "pixel", "role": "method", "method": method, "variant": variant, "title": None, "options": {},
        "delta_vs_supervised": gain, "delta_ci_low": limits[0], "delta_ci_high": limits[1],
    } | changes  # fmt: skip


def study(**changes):
    return [row(method, gain / 10, **changes) for method, gain in PUBLISHED.items()]


def test_the_published_order_has_a_tau_of_one():
    table = field_order.build(study(half=0.001))
    [first] = table.rows
    assert first["methods"] == 6 and first["tau"] == 1 and (first["tau_ci_low"], first["tau_ci_high"]) == (1, 1)
    assert first["published_gains"] == pytest.approx(list(PUBLISHED.values()), abs=1e-6)
    turned = field_order.build([row(method, -gain, half=0.001) for method, gain in PUBLISHED.items()])
    assert turned.rows[0]["tau"] == -1


def test_uncertain_gains_make_an_uncertain_order():
    sure, unsure, none = (field_order.build(study(half=half)).rows[0] for half in (0.01, 30.0, None))
    assert sure["tau_ci_high"] - sure["tau_ci_low"] < 0.2 < 0.8 < unsure["tau_ci_high"] - unsure["tau_ci_low"]
    assert none["tau"] is not None and none["tau_ci_low"] is None


def test_tau_equals_scipys():
    random = np.random.default_rng(3)
    for _ in range(20):
        a, b = random.integers(0, 6, (2, 8))
        assert field_order._tau(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)


def test_what_is_not_counted():
    """Too few methods, other heads, controls."""
    assert field_order.build(study()[: field_order.FEWEST - 1]) is None
    assert field_order.build(study(head="mask")) is None
    assert field_order.build(study(role="control")) is None
