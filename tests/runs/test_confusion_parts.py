from __future__ import annotations

import numpy as np
import pytest

from semiseg.runs import confusion_parts
from semiseg.runs.evaluations import Evaluations


def evaluated(path, truth_differs: bool = False) -> dict[str, np.ndarray]:
    """The arrays of two networks on two sets after two iterations."""
    random = np.random.default_rng(0)
    images = {"val": ["a", "b"], "test": ["c", "d", "e"]}
    made = Evaluations(["sky", "road", "car"], {"name": "whole"}, images)
    for name, ids in images.items():
        pixels = random.integers(0, 50, (len(ids), 3))
        for iteration in (10, 20):
            for network in ("student", "teacher"):
                there = pixels + (truth_differs and iteration == 20)
                made.add(iteration, name, network, np.array([[random.multinomial(n, [0.2, 0.5, 0.3]) for n in of_image]
                                                             for of_image in there]))  # fmt: skip
    made.add_extra("boundary", 20, "test", "student", random.integers(0, 9, (3, 3, 3)))
    made.save(path)
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}


def test_they_come_back_to_the_same_bytes(tmp_path):
    arrays = evaluated(tmp_path / "evaluations.npz")
    parts = confusion_parts.split(arrays)
    assert {key for key in parts if key not in arrays} == {"truth/val", "truth/test"}
    assert parts["test/student/count"].sum() < arrays["test/student/count"].sum()
    back = confusion_parts.joined(parts)
    assert back.keys() == arrays.keys()
    for key, values in arrays.items():
        assert back[key].dtype == values.dtype
        np.testing.assert_array_equal(back[key], values)


@pytest.mark.parametrize("arrays", [{"maps": np.zeros(3)}, {}], ids=["pictures", "nothing"])
def test_other_arrays_stay(arrays):
    assert confusion_parts.split(arrays) == confusion_parts.joined(arrays) == arrays


def test_matrices_whose_truth_differs_stay_whole(tmp_path):
    arrays = evaluated(tmp_path / "evaluations.npz", truth_differs=True)
    assert confusion_parts.split(arrays) is arrays
