"""What an evaluation does around the network."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from semiseg.hardware.device import Speed
from semiseg.scoring.evaluator import Evaluator

SPEED = Speed({"plain": False, "precision": "fp32", "compile": False}, torch.device("cpu"))
PROTOCOL = {"name": "whole", "scales": [1.0], "flip": False}


class Brightness(nn.Module):
    """Says class 1 where the picture is bright, and notes cuDNN's setting."""

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
