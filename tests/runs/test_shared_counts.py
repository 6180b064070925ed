from __future__ import annotations

import numpy as np
import pytest

from semiseg.base.errors import UserError
from semiseg.runs import shared_counts, suite_evaluations
from semiseg.runs.evaluations import Sparse
from tests.runs.test_suite_evaluations import made


@pytest.fixture
def run(tmp_path):
    """The arrays of a run with one evaluation, and what its study stores of them."""
    row = made(tmp_path, iterations=(600,))[0]
    with np.load(tmp_path / row["run"] / "evaluations.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    return arrays, suite_evaluations.read(tmp_path / "evaluations.npz")[row["run"]]


def test_what_the_study_stores_is_left_out_and_comes_back(run):
    arrays, stored = run
    kept = shared_counts.left_out(arrays, stored)
    assert {key for key in arrays if key not in kept} == {
        f"test/{network}/{field}" for network in ("student", "teacher") for field in Sparse._fields
    }
    back = shared_counts.put_back(kept, stored, "a run")
    assert back.keys() == arrays.keys()
    for key, values in arrays.items():
        assert back[key].dtype == values.dtype
        np.testing.assert_array_equal(back[key], values)


def test_other_counts_are_not_left_out(run):
    arrays, stored = run
    shape, counts = stored.counts["confusion", "student", 600]
    stored.counts["confusion", "student", 600] = shape, Sparse.of(counts.dense(shape) + 1)
    kept = shared_counts.left_out(arrays, stored)
    assert "test/student/count" in kept and "test/teacher/count" not in kept
    assert shared_counts.left_out(arrays, None) is arrays


def test_a_study_that_stores_something_else_is_refused(run):
    arrays, stored = run
    kept = shared_counts.left_out(arrays, stored)
    shape, counts = stored.counts["confusion", "student", 600]
    stored.counts["confusion", "student", 600] = shape, Sparse.of(counts.dense(shape) + 1)
    for study in (stored, None):
        with pytest.raises(UserError, match="does not hold what the light submission of a run leaves to it"):
            shared_counts.put_back(kept, study, "a run")
