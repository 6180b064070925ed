"""The evaluation, except for the network."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from semiseg.hardware import distributed
from semiseg.hardware.device import Speed
from semiseg.scoring.evaluator import Evaluator
from tests.hardware.test_distributed import run_two

SPEED = Speed({"plain": False, "precision": "fp32", "compile": False}, torch.device("cpu"))
PROTOCOL = {"name": "whole", "scales": [1.0], "flip": False}


class Brightness(nn.Module):
    """A network that predicts class 1 for bright pixels and records cuDNN's setting."""

    def __init__(self):
        super().__init__()
        self.searched = []

    def forward(self, image):
        self.searched.append(torch.backends.cudnn.benchmark)
        bright = image.mean(1)
        return SimpleNamespace(logits=torch.stack([-bright, bright], 1))


class Pictures:
    """Noise of four sizes."""

    def __init__(self, count=7):
        random = np.random.default_rng(0)
        self.images = {f"{n}": random.integers(0, 256, (8 + n % 4, 9, 3), np.uint8) for n in range(count)}

    def image(self, one):
        return self.images[one]

    def label(self, one):
        return (self.images[one][:, :, 0] > 128).astype(np.uint8)

    def size(self, one):
        return self.images[one].shape[:2]


def test_cudnn_does_not_search_for_the_sizes_of_a_set(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    store, network = Pictures(), Brightness()
    evaluator = Evaluator(store, PROTOCOL, 2, 2, SPEED)
    evaluator.matrices(network, list(store.images))
    list(evaluator.maps(network, list(store.images)))
    assert network.searched and not any(network.searched)
    assert torch.backends.cudnn.benchmark


@pytest.mark.parametrize("protocol", [PROTOCOL, PROTOCOL | {"name": "padded", "size": (12, 12)}])
def test_one_view_needs_no_probabilities(protocol, monkeypatch):
    """The largest logit is the largest probability: the same matrices without a softmax."""
    store, network = Pictures(), Brightness()
    evaluator = Evaluator(store, protocol, 2, 2, SPEED)
    whole = evaluator.matrices(network, list(store.images))
    wanted = {one: label for one, label, _ in evaluator.maps(network, list(store.images))}
    for position, one in enumerate(store.images):
        expected = np.zeros((2, 2), np.int64)
        np.add.at(expected, (store.label(one), wanted[one]), 1)
        assert (whole[position] == expected).all()

    def unwanted(*arguments, **options):
        raise AssertionError("a softmax")

    monkeypatch.setattr(torch.Tensor, "softmax", unwanted)
    assert (evaluator.matrices(network, list(store.images)) == whole).all()
    with pytest.raises(AssertionError):
        Evaluator(store, protocol | {"flip": True}, 2, 2, SPEED).matrices(network, list(store.images))


def test_beside_a_gpu_images_are_read_ahead_into_pinned_memory(monkeypatch):
    """Another thread reads the next batches while one is processed; results and their order do not change."""
    store, network, readers, pinned = Pictures(), Brightness(), [], []
    plain = Evaluator(store, PROTOCOL, 2, 2, SPEED).matrices(network, list(store.images))
    evaluator = Evaluator(store, PROTOCOL, 2, 2, SPEED)
    assert Evaluator(store, PROTOCOL, 2, 2, SimpleNamespace(device=torch.device("cuda"))).reads_ahead
    evaluator.reads_ahead = True
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: (pinned.append(len(self)), self)[1])
    read = store.image
    store.image = lambda one: (readers.append(threading.current_thread()), read(one))[1]
    batches = evaluator.batches(list(store.images))
    first = next(batches)
    for _ in range(1000):
        if len(pinned) >= 4:  # two of a batch: images and labels
            break
        time.sleep(0.01)
    assert len(first[0]) == 2 and len(pinned) >= 4, "the second batch is pinned before anybody asks for it"
    list(batches)
    assert threading.current_thread() not in readers and sum(pinned) == 2 * len(store.images)
    assert (evaluator.matrices(network, list(store.images)) == plain).all()


def test_processes_share_the_images_of_an_evaluation(tmp_path):
    """Each reads a part of the set, and each gets all of its matrices, those of one process exactly."""
    store, network = Pictures(9), Brightness()
    alone = Evaluator(store, PROTOCOL, 2, 2, SPEED).matrices(network, list(store.images))

    def work(rank):
        distributed.start(torch.device("cpu"))
        read, image = [], store.image
        store.image = lambda one: (read.append(one), image(one))[1]
        matrices = Evaluator(store, PROTOCOL, 2, 2, SPEED).matrices(network, list(store.images))
        return {"matrices": torch.from_numpy(matrices), "read": read}

    found = run_two(tmp_path, work)
    for one in found:
        assert (one["matrices"].numpy() == alone).all()
        assert 0 < len(one["read"]) < 9
    assert sorted(found[0]["read"] + found[1]["read"]) == sorted(store.images)


@pytest.mark.parametrize("protocol", [PROTOCOL, PROTOCOL | {"flip": True}])
def test_what_metrics_need_is_counted_of_the_same_predictions(protocol):
    """In the order of the ids, for images of several sizes: the matrices of a plain evaluation, and the same pixels."""
    store, network = Pictures(), Brightness()
    evaluator, ids = Evaluator(store, protocol, 2, 2, SPEED), ["5", "0", "3", "1"]
    counts = evaluator.counts(network, ids)
    np.testing.assert_array_equal(counts["confusion"], evaluator.matrices(network, ids))
    pixels = [store.images[one][:, :, 0].size for one in ids]
    assert counts["confidence"].sum((1, 2)).tolist() == pixels
    right = np.trace(counts["confusion"], axis1=1, axis2=2)
    assert counts["confidence"][:, 1].sum(1).tolist() == right.tolist()
    assert (counts["boundary"] <= counts["confusion"]).all() and counts["boundary"].sum() > 0
    sure = {one: largest for one, _, largest in evaluator.maps(network, ids)}
    top = sum(int((largest > 0.999 * 255).sum()) for largest in sure.values())
    assert abs(counts["confidence"][:, :, -1].sum() - top) <= 0.02 * sum(pixels)
