from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.base.errors import UserError
from semiseg.runs.evaluations import Evaluations


def matrices(seed: int, images: int = 4, classes: int = 3, share: float = 0.4) -> np.ndarray:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 70_000, (images, classes, classes))
    return counts * (random.random(counts.shape) < share)


def empty(**changes) -> Evaluations:
    described = dict(
        classes=["background", "cat", "dog"],
        protocol={"window": None},
        images={"val": list("abcd"), "test": ["x", "y"]},
        groups={"val": ["d1", "d1", "d2", None]},
    )
    return Evaluations(**{**described, **changes})


def test_what_was_added_is_read_back(tmp_path):
    kept = empty()
    for iteration in (10, 20):
        kept.add(iteration, "val", "student", matrices(iteration))
        kept.add(iteration, "val", "teacher", matrices(iteration + 1))
        kept.add(iteration, "test", "student", matrices(iteration + 2, images=2))
    kept.save(tmp_path / "e.npz")
    read = Evaluations.load(tmp_path / "e.npz")
    assert read.iterations == [10, 20] and read.sets == ["test", "val"] and read.networks == ["student", "teacher"]
    assert (read.classes, read.protocol, read.images, read.groups) == (
        kept.classes,
        kept.protocol,
        kept.images,
        kept.groups,
    )
    assert read.confusion("val", "teacher", 0).dtype == np.int64
    np.testing.assert_array_equal(read.confusion("val", "teacher", 0), matrices(11))
    np.testing.assert_array_equal(read.confusion("test", "student", -1), matrices(22, images=2))
    np.testing.assert_array_equal(read.total("val", "student", 1), matrices(20).sum(0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 20), st.floats(0, 1))
def test_sparse_form_loses_nothing(tmp_path_factory, seed, images, classes, share):
    kept = Evaluations([str(c) for c in range(classes)], {}, {"val": [str(i) for i in range(images)]})
    kept.add(0, "val", "student", matrices(seed, images, classes, share))
    path = tmp_path_factory.mktemp("e") / "e.npz"
    kept.save(path)
    np.testing.assert_array_equal(
        Evaluations.load(path).confusion("val", "student", 0), matrices(seed, images, classes, share)
    )


def test_a_resumed_file_has_the_bytes_of_an_uninterrupted_one(tmp_path):
    whole = empty()
    for iteration in (10, 20, 30):
        whole.add(iteration, "val", "student", matrices(iteration))
        whole.add(iteration, "test", "student", matrices(iteration, images=2))
    whole.save(tmp_path / "whole.npz")

    first = empty()
    for iteration in (20, 10):
        first.add(iteration, "test", "student", matrices(iteration, images=2))
        first.add(iteration, "val", "student", matrices(iteration))
    first.save(tmp_path / "part.npz")
    resumed = Evaluations.load(tmp_path / "part.npz")
    resumed.drop_after(10)
    assert resumed.iterations == [10]
    for iteration in (20, 30):
        resumed.add(iteration, "val", "student", matrices(iteration))
        resumed.add(iteration, "test", "student", matrices(iteration, images=2))
    resumed.save(tmp_path / "part.npz")
    assert (tmp_path / "part.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_a_repeated_evaluation_replaces_the_first():
    kept = empty()
    kept.add(10, "val", "student", matrices(1))
    kept.add(10, "val", "student", matrices(2))
    np.testing.assert_array_equal(kept.confusion("val", "student", 0), matrices(2))


def test_nothing_evaluated_yet_is_stored_too(tmp_path):
    kept = empty()
    kept.add(10, "val", "student", matrices(1))
    kept.drop_after(0)
    kept.save(tmp_path / "e.npz")
    assert Evaluations.load(tmp_path / "e.npz").iterations == []


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="val have shape"):
        empty().add(10, "val", "student", matrices(1, images=3))
    with pytest.raises(ValueError, match="1 groups for 4 images"):
        empty(groups={"val": ["d1"]})


def test_size_on_disk_is_that_of_the_filled_cells(tmp_path):
    kept = Evaluations([str(c) for c in range(21)], {}, {"val": [f"{i:06}" for i in range(1449)]})
    for iteration in range(20):
        kept.add(iteration, "val", "student", matrices(iteration, 1449, 21, 0.02))
    kept.save(tmp_path / "e.npz")
    assert (tmp_path / "e.npz").stat().st_size < 2**20 * 1.5


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not an archive"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "evaluations.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"evaluations\.npz"):
        Evaluations.load(path)
    with pytest.raises(UserError, match="missing"):
        Evaluations.load(tmp_path / "other.npz")
