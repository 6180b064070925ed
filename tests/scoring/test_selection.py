from __future__ import annotations

import json

import numpy as np
import pytest

from semiseg.base.errors import UserError
from semiseg.runs.evaluations import Evaluations
from semiseg.scoring.selection import class_iou, mean_iou, summarise

CLASSES = ["background", "cat", "dog"]


def diagonal(share: float, pixels: int = 1000) -> np.ndarray:
    """Two images, three classes, `share` of every class's pixels right, the others called background."""
    hit = round(share * pixels)
    one = np.array([[pixels, 0, 0], [pixels - hit, hit, 0], [pixels - hit, 0, hit]])
    return np.stack([one, one])


@pytest.fixture
def evaluations() -> Evaluations:
    kept = Evaluations(CLASSES, {"window": None}, {"val": ["a", "b"], "test": ["c", "d"]})
    for iteration, val, test in [(10, 0.2, 0.5), (20, 0.8, 0.6), (30, 0.8, 0.9), (40, 0.7, 0.7)]:
        for network, gain in (("student", 0.0), ("teacher", 0.05)):
            kept.add(iteration, "val", network, diagonal(val + gain))
            kept.add(iteration, "test", network, diagonal(test + gain))
    return kept


def summary(evaluations, **changes):
    settings = dict(spec_sha256="s", evaluated_on="test", selected_on="val", lastk=3, reported_network="teacher")
    return summarise(evaluations, **{**settings, **changes})


def test_iou_by_hand():
    confusion = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])
    np.testing.assert_allclose(class_iou(confusion), [100 * 8 / 10, 100 * 5 / 7, np.nan])
    assert mean_iou(confusion) == pytest.approx((80 + 500 / 7) / 2)


def test_predicted_only_and_labelled_only_classes_count_as_zero():
    assert class_iou(np.array([[5, 1, 0], [0, 0, 0], [3, 0, 0]]))[1:].tolist() == [0, 0]


def test_absent_classes_are_left_out_and_named():
    kept = Evaluations(CLASSES, {}, {"val": ["a"]})
    kept.add(5, "val", "student", np.array([[[9, 1, 0], [0, 10, 0], [0, 0, 0]]]))
    result = summary(kept, evaluated_on="val", selected_on=None, reported_network="student")
    last = result["networks"]["student"]["last"]
    assert last["absent"] == ["dog"] and last["per_class"][2] is None
    assert last["miou"] == pytest.approx((90 + 1000 / 11) / 2)
    assert last["pixel_accuracy"] == pytest.approx(95)


def test_rules(evaluations):
    result = summary(evaluations)
    student = result["networks"]["student"]
    assert student["last"]["iteration"] == 40
    assert student["best"]["iteration"] == 20, "the first of two equal evaluations on val"
    np.testing.assert_array_equal(student["best"]["confusion"], diagonal(0.6).sum(0))
    expected = [mean_iou(diagonal(share).sum(0)) for share in (0.6, 0.9, 0.7)]
    assert student["lastk"]["miou"] == pytest.approx(np.mean(expected))
    assert student["lastk"]["k"] == 3 and student["lastk"]["iterations"] == [20, 30, 40]
    assert result["reported_network"] == "teacher"
    assert result["networks"]["teacher"]["last"]["miou"] > student["last"]["miou"]


def test_selection_never_looks_at_the_evaluated_set(evaluations):
    on_test = [mean_iou(evaluations.total("test", "student", i)) for i in range(4)]
    assert int(np.argmax(on_test)) == 2
    assert summary(evaluations)["networks"]["student"]["best"]["iteration"] != 30


def test_forbidden_selection_leaves_best_empty(evaluations):
    for network in summary(evaluations, selected_on=None)["networks"].values():
        assert network["best"] is None and network["last"]["iteration"] == 40


def test_fewer_evaluations_than_k(evaluations):
    lastk = summary(evaluations, lastk=9)["networks"]["student"]["lastk"]
    assert lastk["k"] == 4 and lastk["iterations"] == [10, 20, 30, 40]


def test_one_matrix_over_the_set_and_not_the_mean_of_images():
    kept = Evaluations(CLASSES[:2], {}, {"val": ["a", "b"]})
    kept.add(1, "val", "student", np.array([[[90, 10], [0, 0]], [[0, 0], [50, 50]]]))
    result = summary(kept, evaluated_on="val", selected_on=None, reported_network="student")
    assert result["networks"]["student"]["last"]["miou"] == pytest.approx(100 * (90 / 150 + 50 / 110) / 2)


def test_it_is_json_and_the_same_after_saving(evaluations, tmp_path):
    evaluations.save(tmp_path / "e.npz")
    again = summary(Evaluations.load(tmp_path / "e.npz"))
    assert json.dumps(again, allow_nan=False) == json.dumps(summary(evaluations), allow_nan=False)


def test_unusable_evaluations_are_answered_in_words(evaluations):
    with pytest.raises(UserError, match="'train'"):
        summary(evaluations, evaluated_on="train")
    with pytest.raises(UserError, match="second"):
        summary(evaluations, reported_network="second")
    void = Evaluations(CLASSES, {}, {"val": ["a"]})
    void.add(1, "val", "student", np.zeros((1, 3, 3), int))
    with pytest.raises(UserError, match="no pixel of the set 'val'"):
        summary(void, evaluated_on="val", selected_on=None, reported_network="student")
