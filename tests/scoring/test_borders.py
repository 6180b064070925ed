from __future__ import annotations

import numpy as np
import pytest
import torch

from semiseg.scoring import borders
from semiseg.scoring.confusion import confusion_matrices


def maps(classes, size=(40, 90)):
    """Blobs of classes, with ignored pixels."""
    random = np.random.default_rng(3)
    label = random.integers(0, classes, (3, size[0] // 10, size[1] // 10)).repeat(10, 1).repeat(10, 2).astype(np.uint8)
    label[:, 18:22, 5:40] = 255
    prediction = np.roll(label, 3, axis=2)
    prediction[prediction == 255] = 0
    return torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(label)


def by_hand(label):
    """A pixel is near a border when the square around it shows another class."""
    reach = borders.width(label.shape[1:])
    near = np.zeros(label.shape, bool)
    for image, row, column in np.ndindex(*label.shape):
        own = label[image, row, column]
        window = label[image, max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        near[image, row, column] = own != 255 and bool(((window != own) & (window != 255)).any())
    return near


def test_the_band_is_as_wide_as_it_says():
    assert borders.width((30, 40)) == 1 and borders.width((600, 800)) == 10 and borders.width((1024, 2048)) == 23
    _, label = maps(6, (60, 150))
    assert borders.width(label.shape[1:]) == 2
    near = borders.near_borders(label)
    np.testing.assert_array_equal(near.numpy(), by_hand(label.numpy()))
    assert 0 < near.float().mean() < 0.6


@pytest.mark.parametrize("classes", [6, 150])
def test_both_matrices_are_those_of_two_passes(classes):
    """Also with so many classes that a byte has no room for a class and its side."""
    prediction, label = maps(classes)
    everything, near = borders.matrices(prediction, label, classes)
    expected = torch.where(borders.near_borders(label), label, 255)
    assert torch.equal(everything, confusion_matrices(prediction, label, classes))
    assert torch.equal(near, confusion_matrices(prediction, expected, classes)) and near.sum() > 0
