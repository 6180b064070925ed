"""Pseudo-labels against hidden labels: counted by hand, at the size at which images are evaluated."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from semiseg.scoring.diagnostics import accuracies, pseudo_labels
from semiseg.scoring.evaluator import Evaluator

LABEL = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 255, 255]], np.uint8)


class Source:
    """A network that predicts class 1 for bright pixels."""

    def __init__(self):
        self.sizes = set()

    def eager(self, pixels):
        self.sizes.add(tuple(pixels.shape[-2:]))
        bright = pixels.mean(1) / 255
        return SimpleNamespace(logits=torch.stack([1 - bright, bright], 1))


def found(picture: np.ndarray, scales, confident):
    image = np.repeat(picture[:, :, None], 3, axis=2).astype(np.uint8)
    store = SimpleNamespace(image=lambda one: image, label=lambda one: LABEL, size=lambda one: LABEL.shape)
    evaluator = Evaluator(
        store, {"name": "whole", "scales": scales, "flip": False}, 2, 2, SimpleNamespace(device=torch.device("cpu"))
    )
    source = Source()
    method = SimpleNamespace(confident=lambda logits, auxiliary, buffers: confident(logits))
    return pseudo_labels(method, source, None, {}, evaluator, ["a", "b", "c"]), source.sizes


def test_only_confident_pixels_with_a_label_are_judged():
    picture = np.where(LABEL == 1, 255, 0)
    picture[0, 0] = 255  # wrong, and sure of it
    picture[2, 2] = 140  # wrong, but not sure
    outcome, sizes = found(picture, [1.0], lambda logits: logits.softmax(1).max(1).values > 0.6)
    assert sizes == {(4, 4)}
    assert outcome["confident_share"] == pytest.approx(15 / 16)
    assert outcome["pseudo_accuracy"] == pytest.approx(12 / 13), "two of the 15 have no label, one is wrong"


def test_the_network_sees_images_as_large_as_in_an_evaluation():
    outcome, sizes = found(np.where(LABEL == 1, 255, 0), [0.5], lambda logits: torch.ones_like(logits[:, 0]).bool())
    assert sizes == {(2, 2)}
    assert (outcome["confident_share"], outcome["pseudo_accuracy"]) == (1.0, 1.0)


def test_where_nothing_is_confident_nothing_was_measured():
    outcome, _ = found(np.zeros((4, 4)), [1.0], lambda logits: torch.zeros_like(logits[:, 0]).bool())
    assert outcome == {
        "confident_share": 0.0, "pseudo_accuracy": None, "near_borders": None, "inside": None, "by_class": [None, None]
    }  # fmt: skip


def test_accuracy_by_class_near_borders_and_inside():
    """By hand: of the pixels called class 1, the share that is; and the same split at the band."""
    everywhere, near = np.array([[6, 3], [1, 9]]), np.array([[1, 2], [1, 1]])
    outcome = accuracies(everywhere, near)
    assert outcome["by_class"] == [pytest.approx(6 / 7), pytest.approx(9 / 12)]
    assert outcome["near_borders"] == pytest.approx(2 / 5) and outcome["inside"] == pytest.approx(13 / 14)
    assert outcome["pseudo_accuracy"] == pytest.approx(15 / 19)


def test_errors_at_a_border_are_counted_there():
    picture = np.where(LABEL == 1, 255, 0)
    picture[0, 1] = 255  # beside the border
    outcome, _ = found(picture, [1.0], lambda logits: torch.ones_like(logits[:, 0]).bool())
    assert outcome["near_borders"] < 1 and outcome["by_class"][0] == 1 and outcome["by_class"][1] < 1
