"""Evaluation protocols against loops that place every window and every pixel by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semiseg.hardware.device import Speed
from semiseg.models.outputs import Output
from semiseg.scoring import protocols
from semiseg.scoring.evaluator import Evaluator
from semiseg.scoring.selection import mean_iou

CLASSES = 4
PLAIN = {"scales": (1.0,), "flip": False}
PROTOCOLS = {
    "whole": {"name": "whole", **PLAIN},
    "truncate": {"name": "sliding", "size": (12, 16), "stride": 2 / 3, "border": "truncate", **PLAIN},
    "shift": {"name": "sliding", "size": (12, 16), "stride": 2 / 3, "border": "shift", **PLAIN},
    "padded": {"name": "padded", "size": (40, 36), **PLAIN},
    "centre_crop": {"name": "centre_crop", "size": (14, 50), **PLAIN},
    "scales and flip": {"name": "whole", "scales": (0.5, 1.0, 1.5), "flip": True},
    "sliding, scales and flip": {"name": "sliding", "size": (12, 16), "stride": 0.5, "border": "truncate",
                                 "scales": (1.0, 1.25), "flip": True},
}  # fmt: skip


class Net(nn.Module):
    """Its receptive field crosses window borders, so that logits depend on a window's position."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, CLASSES, 5, padding=2))

    def forward(self, x):
        return Output(3 * self.body(x), x)


@pytest.fixture(scope="module")
def network():
    return Net().eval()


def softmax(predict, image):
    return predict(image[None])[0].softmax(0)


def loop(predict, image, protocol):
    """Scores [C,H,W] of one image [3,H,W], averaged over scales and mirror images; the sum is the label map's basis."""
    height, width = image.shape[1:]
    total = 0
    for scale in protocol["scales"]:
        scaled = F.interpolate(image[None], scale_factor=scale, mode="bilinear")[0] if scale != 1 else image
        for flip in [False, True] if protocol["flip"] else [False]:
            scores = loop_one(predict, scaled.flip(2) if flip else scaled, protocol)
            scores = scores.flip(2) if flip else scores
            total = total + F.interpolate(scores[None], (height, width), mode="bilinear")[0]
    return total


def loop_one(predict, image, protocol):
    height, width = image.shape[1:]
    if protocol["name"] == "padded":
        rows, columns = protocol["size"]
        canvas = torch.zeros(3, rows, columns)
        canvas[:, :height, :width] = image
        return softmax(predict, canvas)[:, :height, :width]
    if protocol["name"] != "sliding":
        return softmax(predict, image)
    rows, columns = protocol["size"]
    total = torch.zeros(CLASSES, height, width)
    top = 0
    while top < height:
        left = 0
        while left < width:
            bottom, right = min(top + rows, height), min(left + columns, width)
            first, start = top, left
            if protocol["border"] == "shift":
                first, start = max(bottom - rows, 0), max(right - columns, 0)
            total[:, first:bottom, start:right] += softmax(predict, image[:, first:bottom, start:right])
            if protocol["border"] == "shift" and right == width:
                break
            left += stride(columns, protocol)
        if protocol["border"] == "shift" and bottom == height:
            break
        top += stride(rows, protocol)
    return total


def stride(window, protocol):
    """iMAS, AugSeg and UniMatch: int(2/3 window); CPS: ceil."""
    length = window * protocol["stride"]
    return int(length) if protocol["border"] == "truncate" else -int(-length // 1)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("size", [(29, 35), (10, 13)], ids=["larger than a window", "smaller than a window"])
def test_scores_are_those_of_the_loop(name, size, network):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    predict = lambda x: network(x).logits  # noqa: E731
    with torch.no_grad():
        found = protocols.probabilities(predict, images, PROTOCOLS[name])
        expected = torch.stack([loop(predict, image, PROTOCOLS[name]) for image in images])
    assert torch.allclose(found, expected / expected.sum(1, keepdim=True), atol=1e-5)
    assert torch.allclose(found.sum(1), torch.ones(()), atol=1e-5)


@pytest.mark.parametrize(
    ("side", "window", "border", "starts"),
    [
        (1024, 801, "truncate", [0, 534]),
        (2048, 801, "truncate", [0, 534, 1068, 1602]),
        (1024, 769, "truncate", [0, 512]),
        (500, 769, "truncate", [0]),
        (1024, 800, "shift", [0, 224]),
        (2048, 800, "shift", [0, 534, 1068, 1248]),
        (2048, 801, "shift", [0, 534, 1068, 1247]),
        (800, 800, "shift", [0]),
        (500, 800, "shift", [0]),
    ],
)
def test_windows_of_the_published_code(side, window, border, starts):
    """Cityscapes with UniMatch's 801, iMAS's 769 and CPS's 800; VOC fits into one of iMAS's windows."""
    protocol = {"stride": 2 / 3, "border": border}
    found = protocols._starts(side, window, protocol)
    assert found == starts


class OneImage:
    """A store of images of two sizes."""

    def __init__(self):
        generator = np.random.default_rng(0)
        self.sizes = {"a": (20, 60), "b": (20, 60), "c": (9, 31)}
        self.images = {key: generator.integers(0, 256, (*size, 3), dtype=np.uint8) for key, size in self.sizes.items()}
        self.labels = {key: generator.integers(0, 3, size, dtype=np.uint8) for key, size in self.sizes.items()}
        self.labels["a"][:5] = 255

    def image(self, key):
        return self.images[key]

    def label(self, key):
        return self.labels[key]

    def size(self, key):
        return self.sizes[key]


def evaluator(protocol, classes=CLASSES, batch=2, plain=False):
    speed = Speed({"plain": plain, "precision": "fp32", "compile": False}, torch.device("cpu"))
    return Evaluator(OneImage(), protocol, batch, classes, speed)


def centre(length, window):
    start = max((length - window) // 2, 0)
    return slice(start, start + window)


@pytest.mark.parametrize("name", ["whole", "truncate", "centre_crop"])
def test_confusion_matrices_count_every_labelled_pixel_of_every_image(name, network):
    judge = evaluator(PROTOCOLS[name])
    matrices = judge.matrices(network, ["a", "b", "c"])
    for matrix, key in zip(matrices, "abc", strict=True):
        image, label = judge.store.image(key), judge.store.label(key)
        if name == "centre_crop":  # the label's centre too, or rows would be compared with other rows
            rows, columns = (centre(*pair) for pair in zip(label.shape, PROTOCOLS[name]["size"], strict=True))
            image, label = image[rows, columns], label[rows, columns]
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        pixels = ((torch.from_numpy(image.copy()) / 255 - mean) / deviation).permute(2, 0, 1)
        with torch.no_grad():
            prediction = loop(lambda x: network(x).logits, pixels, PROTOCOLS[name]).argmax(0).numpy()
        expected = np.zeros((CLASSES, CLASSES), int)
        for row in range(label.shape[0]):
            for column in range(label.shape[1]):
                if label[row, column] != 255:
                    expected[label[row, column], prediction[row, column]] += 1
        assert abs(matrix - expected).sum() <= 2  # a tie in the last bit may fall either way
        assert matrix.sum() == (label != 255).sum()


def test_evaluation_leaves_the_network_as_it_was(network):
    trained = Net().train()
    evaluator(PROTOCOLS["whole"]).matrices(trained, ["a"])
    assert trained.training and all(parameter.grad is None for parameter in trained.parameters())


def test_maps_show_the_whole_image_also_where_only_the_centre_is_scored(network):
    shapes = {key: label.shape for key, label, _ in evaluator(PROTOCOLS["centre_crop"]).maps(network, ["a", "c"])}
    assert shapes == {"a": (20, 60), "c": (9, 31)}


def test_confidence_is_the_probability_of_the_shown_class(network):
    judge = evaluator(PROTOCOLS["whole"])
    [(_, label, confidence)] = judge.maps(network, ["c"])
    assert label.dtype == confidence.dtype == np.uint8
    assert confidence.min() >= 255 // CLASSES and label.max() < CLASSES


def test_a_class_that_is_nowhere_is_left_out_of_the_mean():
    """A class in neither truth nor prediction is left out; a class in only one of them counts as 0."""
    matrix = np.array([[5, 5, 0, 0], [0, 10, 0, 0], [0, 0, 0, 0], [2, 0, 0, 0]])
    assert mean_iou(matrix) == pytest.approx(100 * (5 / 12 + 10 / 15 + 0) / 3)
    wrongly_predicted = np.array([[5, 0, 1], [0, 4, 0], [0, 0, 0]])
    assert mean_iou(wrongly_predicted) == pytest.approx(100 * (5 / 6 + 1 + 0) / 3)
