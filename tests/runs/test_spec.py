"""Specs: what makes a finished run stale, and what must not."""

from __future__ import annotations

import ast

import pytest

from semiseg import methods
from semiseg.runs import spec


def skeleton(source):
    return spec._skeleton(ast.parse(source))


BEFORE = '''
"""What it is."""
def f(x, y=1):
    """Adds."""
    return x + y  # a sum
'''


@pytest.mark.parametrize(
    "after",
    [
        BEFORE.replace("a sum", "the sum"),
        BEFORE.replace("Adds.", "Adds two numbers."),
        BEFORE.replace('"""What it is."""\n', ""),
        BEFORE.replace("x + y", "(x +   y)"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(after):
    assert after != BEFORE
    assert skeleton(after) == skeleton(BEFORE)


@pytest.mark.parametrize("after", [BEFORE.replace("x + y", "x - y"), BEFORE.replace("y=1", "y=2")])
def test_code_that_computes_something_else_is_seen(after):
    assert skeleton(after) != skeleton(BEFORE)


def test_a_string_that_is_no_docstring_counts():
    assert skeleton("x = 1\n'note'") != skeleton("x = 1\n'other'")


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
    without_effect = {"schema", "config", "grid", "study", "product", "engine.progress", "runs.lease"}
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
