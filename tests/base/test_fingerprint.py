"""Hashes of code: what changes them, and what must not."""

from __future__ import annotations

import ast

import pytest

from semiseg.base import fingerprint


def skeleton(source):
    return fingerprint._skeleton(ast.parse(source))


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


def test_the_message_of_an_error_may_be_worded_anew_but_not_its_condition():
    before = "if x > 1:\n    raise UserError(f'{x} is too large')"
    assert skeleton(before.replace("too large", "more than 1")) == skeleton(before)
    assert skeleton(before.replace("x > 1", "x > 2")) != skeleton(before)
    assert skeleton(before.replace("UserError", "Diverged")) != skeleton(before)
