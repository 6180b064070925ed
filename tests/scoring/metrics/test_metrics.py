"""Each metric, compared with a second implementation in float64 and with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semiseg.scoring.confidence import histograms
from semiseg.scoring.metric import REGISTRY
from semiseg.scoring.metrics.boundary_miou import BoundaryMiou
from semiseg.scoring.metrics.calibration_error import CalibrationError
from semiseg.scoring.metrics.error_auroc import ErrorAuroc
from semiseg.scoring.metrics.image_miou import ImageMiou
from semiseg.scoring.metrics.miou import Miou
from semiseg.scoring.metrics.worst_tenth import WorstTenth
from semiseg.scoring.selection import mean_iou
from semiseg.scoring.widths import BINS

CLASSES = 5


@pytest.fixture(scope="module")
def matrices():
    """Images that show some of the classes; one has no labelled pixel."""
    random = np.random.default_rng(0)
    found = random.integers(0, 90, (37, CLASSES, CLASSES)) + 300 * np.eye(CLASSES, dtype=int)
    shown = random.random((37, CLASSES)) < 0.6
    shown[:, 0] = True
    found = found * (shown[:, :, None] & shown[:, None, :])
    found[11] = 0
    return found


def iou_of(matrix):
    """One by one: hits over the union, of the classes that occur."""
    found = []
    for k in range(CLASSES):
        union = matrix[k].sum() + matrix[:, k].sum() - matrix[k, k]
        if union:
            found.append(100.0 * matrix[k, k] / union)
    return sum(found) / len(found) if found else None


def test_every_metric_has_a_column():
    assert set(REGISTRY.names()) == {
        "boundary_miou", "calibration_error", "error_auroc", "image_miou", "miou", "worst_tenth"
    }  # fmt: skip
    for name in REGISTRY.names():
        assert REGISTRY.load(name).title and REGISTRY.load(name).help
    with pytest.raises(Exception, match="there is no metric 'miuo'"):
        REGISTRY.load("miuo")


def test_miou_is_of_one_matrix(matrices):
    assert Miou.value(matrices) == pytest.approx(mean_iou(matrices.sum(0))) == pytest.approx(iou_of(matrices.sum(0)))
    absent = np.array([[[8, 2, 0], [0, 5, 0], [0, 0, 0]]])
    assert Miou.value(absent) == pytest.approx(mean_iou(absent[0]))


def test_image_miou_is_the_mean_of_each_images_own(matrices):
    own = [one for matrix in matrices if (one := iou_of(matrix)) is not None]
    assert len(own) == 36 and ImageMiou.value(matrices) == pytest.approx(np.mean(own))


def test_worst_tenth_is_the_mean_of_the_worst_images(matrices):
    """3.6 of 36 images: three of them, and the fourth with a weight of 0.6."""
    own = sorted(one for matrix in matrices if (one := iou_of(matrix)) is not None)
    assert WorstTenth.value(matrices) == pytest.approx((sum(own[:3]) + 0.6 * own[3]) / 3.6)


@pytest.mark.parametrize("name", ["miou", "image_miou", "worst_tenth"])
def test_a_weight_of_two_is_the_image_twice(matrices, name):
    measured, weights = REGISTRY.load(name), np.random.default_rng(1).integers(0, 3, 37)
    drawn = np.repeat(matrices, weights, axis=0)
    score = measured.score(weights[None].astype(float), measured.table(matrices))[0]
    assert score == pytest.approx(measured.value(drawn))


# ---------------------------------------------------------------- confidence


@pytest.fixture(scope="module")
def maps():
    """Predictions with a confidence that correlates with errors and is too high."""
    random = np.random.default_rng(2)
    label = random.integers(0, CLASSES, (6, 24, 24))
    confidence = (1 - (1 - random.random(label.shape)) ** 4 * 0.8).astype(np.float32)
    right = random.random(label.shape) < confidence - 0.1
    prediction = np.where(right, label, (label + 1) % CLASSES)
    label[:, :3] = 255
    return prediction, confidence, label


def counted(maps):
    prediction, confidence, label = (torch.from_numpy(one) for one in maps)
    return histograms(prediction, confidence, label.to(torch.uint8), CLASSES).numpy()


def known(maps):
    prediction, confidence, label = maps
    seen = label != 255
    return confidence[seen].astype(np.float64), (prediction == label)[seen]


def test_histograms_hold_every_labelled_pixel_once(maps):
    found, (confidence, right) = counted(maps), known(maps)
    assert found.shape == (6, 2, BINS) and found[:, 1].sum() == right.sum() and found.sum() == len(right)
    for wanted, kind in ((~right, 0), (right, 1)):
        expected = np.zeros(BINS, int)
        for one in confidence[wanted]:
            expected[min(BINS - 1, int(BINS * (1 - (1 - one) ** 0.5)))] += 1
        assert np.abs(expected - found[:, kind].sum(0)).sum() <= 2, "float32 beside float64 at an edge"


def test_calibration_error_beside_exact_confidences(maps):
    """A pixel has the confidence of its bin's middle: that moves the figure by less than a tenth of a point."""
    confidence, right = known(maps)
    bins = np.minimum(BINS - 1, (BINS * (1 - np.sqrt(1 - confidence))).astype(int))
    expected = 0.0
    for one in range(BINS):
        inside = bins == one
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert CalibrationError.value(counted(maps)) == pytest.approx(100 * expected, abs=0.1) and expected > 0.05


def test_auroc_beside_all_pairs(maps):
    confidence, right = known(maps)
    wins = 0.0
    for one in confidence[~right]:
        wins += (confidence[right] > one).sum() + 0.5 * (confidence[right] == one).sum()
    expected = 100 * wins / (right.sum() * (~right).sum())
    assert ErrorAuroc.value(counted(maps)) == pytest.approx(expected, abs=0.3) and expected > 60
    perfect = np.zeros((1, 2, BINS), int)
    perfect[0, 0, 3], perfect[0, 1, 20] = 5, 7
    assert ErrorAuroc.value(perfect) == 100 and ErrorAuroc.value(perfect[:, ::-1]) == 0


def test_boundary_miou_is_miou_of_the_band(matrices):
    assert BoundaryMiou.needs == "boundary" and BoundaryMiou.value(matrices) == Miou.value(matrices)
