"""Specs: what makes a finished run stale, and what must not."""

from __future__ import annotations

import pytest

from semiseg import methods
from semiseg.runs import spec


@pytest.mark.parametrize("method", methods.names())
def test_the_fingerprint_holds_what_trains_and_nothing_else(method):
    modules = spec.training_fingerprint(method)
    assert f"semiseg.methods.{method}" in modules
    assert {"semiseg.engine.train", "semiseg.feed.loader", "semiseg.models.networks", "semiseg.engine.ema"} <= set(
        modules
    )
    others = {f"semiseg.methods.{name}" for name in methods.names()} - {f"semiseg.methods.{method}"}
    assert not others & set(modules), "a change of one method retrained another"
    assert not any(name.startswith(("semiseg.report", "semiseg.commands", "semiseg.cluster")) for name in modules)
    without_effect = {
        "params.schema",
        "params.loading",
        "study.grid",
        "study.study",
        "study.product",
        "engine.training_progress",
        "runs.lease",
    }
    assert not {f"semiseg.{name}" for name in without_effect} & set(modules)


def test_differences_name_the_parameter_the_data_the_list_and_the_code():
    old = {"config": {"a": {"b": 1}}, "data": "d", "split": "s", "code": {"m": "1", "n": "1"}}
    new = {"config": {"a": {"b": 2}}, "data": "e", "split": None, "code": {"m": "2", "n": "1"}}
    reasons = " | ".join(spec.differences(old, new))
    assert "a.b: 1 -> 2" in reasons
    assert "the data set changed" in reasons
    assert "labelled images is not prepared" in reasons
    assert "code changed in m" in reasons
    assert spec.differences(old, old) == []
    assert spec.differences(None, new) == ["it has not been trained"]
