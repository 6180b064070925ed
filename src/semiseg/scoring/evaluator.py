"""Scores of a network on a set: one confusion matrix per image, counted on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semiseg import views
from semiseg.feed.store import Store
from semiseg.hardware.device import Speed, sizes_vary
from semiseg.scoring import protocols
from semiseg.scoring.confusion import confusion_matrices


class Evaluator:
    """Reads a set from the store and puts a network through it under the suite's protocol."""

    def __init__(self, store: Store, protocol: dict[str, Any], batch: int, classes: int, speed: Speed) -> None:
        self.store, self.protocol, self.batch, self.classes, self.speed = store, protocol, batch, classes, speed

    @torch.inference_mode()
    def matrices(self, network: nn.Module, ids: Sequence[str]) -> np.ndarray:
        """Confusion matrices [N, K, K], rows truth, columns prediction."""
        parts, order = [], []
        with _evaluating(network):
            for chunk in self.chunks(ids):
                labels, _ = self._predict(network, self.pixels([self._cut(self.store.image(one)) for one in chunk]))
                truth = torch.from_numpy(np.stack([self._cut(self.store.label(one)) for one in chunk]))
                parts.append(confusion_matrices(labels, truth.to(labels.device, non_blocking=True), self.classes))
                order += chunk
        place = {one: position for position, one in enumerate(order)}
        return torch.cat(parts).cpu().numpy()[[place[one] for one in ids]]

    @torch.inference_mode()
    def maps(self, network: nn.Module, ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Label map and confidence (0..255) of each image, of all of it also where only the centre is scored."""
        for chunk in self.chunks(ids):
            with _evaluating(network):
                labels, confidence = self._predict(network, self.pixels([self.store.image(one) for one in chunk]))
            for one, label, sure in zip(chunk, labels.byte().cpu(), (confidence * 255).byte().cpu(), strict=True):
                yield one, label.numpy(), sure.numpy()

    def _predict(self, network: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
        with self.speed.autocast():
            scores = protocols.probabilities(
                lambda images: network(self.speed.arranged(images)).logits, views.normalise(pixels), self.protocol
            )
        return protocols.label_map(scores)

    def chunks(self, ids: Sequence[str]) -> Iterator[list[str]]:
        """Images of one size share a batch."""
        for _, group in groupby(sorted(ids, key=self.store.size), key=self.store.size):
            same = list(group)
            for start in range(0, len(same), self.batch):
                yield same[start : start + self.batch]

    def pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        stacked = torch.from_numpy(np.stack(images)).to(self.speed.device, non_blocking=True)
        return views.to_pixels(stacked.permute(0, 3, 1, 2))

    def _cut(self, image: np.ndarray) -> np.ndarray:
        if self.protocol["name"] != "centre_crop":
            return np.asarray(image)
        return np.asarray(image[protocols.centre(image.shape[:2], self.protocol["size"])])


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        with sizes_vary():
            yield
    finally:
        network.train(training)
