"""A finished run that another run uses: its networks, its earlier weights, and its training labels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semiseg.engine.given_labels import GivenLabels
from semiseg.feed.store import Store
from semiseg.hardware.device import Speed
from semiseg.inference.trained import load
from semiseg.models.outputs import Output
from semiseg.models.student import Student
from semiseg.scoring.evaluator import Evaluator


class NeededRun:
    """Networks are loaded on first use."""

    def __init__(
        self, path: Path, store: Store, evaluation: Mapping[str, Any], speed: Speed, say: Callable[[str], None]
    ) -> None:
        self.path, self.store, self.evaluation, self.speed, self.say = path, store, evaluation, speed, say

    def __call__(self, pixels: Tensor) -> Output:
        return self._reported.frozen(pixels)

    def predictions(
        self, ids: Sequence[str], network: str = "student", scales: Sequence[float] = (1.0,), flip: bool = False
    ) -> Iterator[tuple[str, np.ndarray]]:
        protocol = self.evaluation["protocol"]
        several = protocol | {"scales": [scale * one for scale in protocol["scales"] for one in scales]}
        several |= {"flip": flip or protocol["flip"]}
        classes = len(self.store.classes)
        evaluator = Evaluator(self.store, several, self.evaluation["batch"], classes, self.speed)
        for one, label, _ in evaluator.maps(self._network(network), ids):
            yield one, label

    @property
    def given(self) -> Mapping[str, np.ndarray]:
        return GivenLabels(self.path)

    @functools.cached_property
    def _reported(self) -> Student:
        return Student(self._network(None).requires_grad_(False), self.speed, self.say)

    def _network(self, label: str | None) -> torch.nn.Module:
        return self.speed.place(load(self.path, label, self.speed.device).network).eval()
