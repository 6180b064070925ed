from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.scoring.confusion import confusion_matrices


def counted(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    matrix = np.zeros((classes, classes), np.int64)
    for truth, guess in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if truth < classes:
            matrix[truth, guess] += 1
    return matrix


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    classes=st.sampled_from([1, 2, 5, 21, 127, 128, 200]),
    dtype=st.sampled_from([torch.uint8, torch.int64]),
)
def test_counts_every_pixel_but_the_ignored(seed, classes, dtype):
    generator = np.random.default_rng(seed)
    prediction = generator.integers(0, classes, (3, 7, 5))
    label = np.where(generator.random((3, 7, 5)) < 0.3, 255, generator.integers(0, classes, (3, 7, 5)))
    found = confusion_matrices(torch.tensor(prediction, dtype=dtype), torch.tensor(label, dtype=dtype), classes)
    expected = np.stack([counted(*maps, classes) for maps in zip(prediction, label, strict=True)])
    np.testing.assert_array_equal(found.numpy(), expected)
    assert found.dtype == torch.int64


@pytest.mark.parametrize("label", [255, 3])
def test_what_is_no_class_is_no_class(label):
    """An unmapped void label just above the classes must not become the last of them."""
    found = confusion_matrices(torch.full((1, 4, 4), 2), torch.full((1, 4, 4), label), 3)
    assert found.sum() == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_the_maps_are_left_alone(dtype):
    prediction, label = torch.ones(2, 3, 3, dtype=dtype), torch.full((2, 3, 3), 2, dtype=dtype)
    assert confusion_matrices(prediction, label, 4)[:, 2, 1].tolist() == [9, 9]
    assert (prediction == 1).all() and (label == 2).all()
