"""Evaluates a network on a set: one confusion matrix per image, counted on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semiseg import views
from semiseg.feed.store import Store, in_order
from semiseg.feed.transfer import to_device
from semiseg.hardware import distributed
from semiseg.hardware.device import Speed, sizes_vary
from semiseg.scoring import borders, confidence, protocols
from semiseg.scoring.confusion import confusion_matrices


class Evaluator:
    """Reads a set from the store and evaluates a network under the suite's protocol.

    With several processes, each evaluates its share of the batches, and all of them get all results.
    """

    def __init__(self, store: Store, protocol: dict[str, Any], batch: int, classes: int, speed: Speed) -> None:
        self.store, self.protocol, self.batch, self.classes, self.speed = store, protocol, batch, classes, speed
        # With a GPU the host reads ahead while the device computes; on a CPU both would share one core.
        self.reads_ahead = speed.device.type == "cuda"

    def matrices(self, network: nn.Module, ids: Sequence[str]) -> np.ndarray:
        """Confusion matrices [N, K, K], rows truth, columns prediction."""
        return self.counts(network, ids, everything=False)["confusion"]

    @torch.inference_mode()
    def counts(self, network: nn.Module, ids: Sequence[str], everything: bool = True) -> dict[str, np.ndarray]:
        """Confusion matrices and, with `everything`, all that metrics need of each image [N, ...]."""
        place = {one: position for position, one in enumerate(ids)}
        found: dict[str, Tensor] = {}
        for kind, shape in self._shapes(everything).items():
            found[kind] = torch.zeros((len(ids), *shape), dtype=torch.int64, device=self.speed.device)
        with _evaluating(network):
            for chunk, pixels, truth in self.batches(ids, self._cut):
                rows = to_device(np.array([place[one] for one in chunk]), self.speed.device)
                for kind, counted in self._of_batch(network, pixels, truth, everything).items():
                    found[kind].index_copy_(0, rows, counted)
        return {kind: distributed.total(counted).cpu().numpy() for kind, counted in found.items()}

    def _shapes(self, everything: bool) -> dict[str, tuple[int, int]]:
        square = (self.classes, self.classes)
        if not everything:
            return {"confusion": square}
        return {"confusion": square, "boundary": square, "confidence": (2, confidence.BINS)}

    def _of_batch(self, network: nn.Module, pixels: Tensor, truth: Tensor, everything: bool) -> dict[str, Tensor]:
        predict, images = self._predict(network), views.normalise(pixels)
        with self.speed.autocast():
            if not everything:
                labels = protocols.labels(predict, images, self.protocol)
                return {"confusion": confusion_matrices(labels, truth, self.classes)}
            labels, sure = protocols.labels_and_confidence(predict, images, self.protocol)
        both = dict(zip(("confusion", "boundary"), borders.matrices(labels, truth, self.classes), strict=True))
        return both | {"confidence": confidence.histograms(labels, sure, truth, self.classes)}

    @torch.inference_mode()
    def maps(self, network: nn.Module, ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Label map and confidence (0..255) of each whole image, even if only the centre is scored."""
        for chunk in self.chunks(ids):
            pixels = self.pixels([self.store.image(one) for one in chunk])
            with _evaluating(network), self.speed.autocast():
                scores = protocols.probabilities(self._predict(network), views.normalise(pixels), self.protocol)
            labels, largest = protocols.label_map(scores)
            for one, label, sure in zip(chunk, labels.byte().cpu(), (largest * 255).byte().cpu(), strict=True):
                yield one, label.numpy(), sure.numpy()

    def _predict(self, network: nn.Module) -> protocols.Predict:
        return lambda images: network(self.speed.arranged(images)).logits

    def batches(
        self, ids: Sequence[str], cut: Callable[[np.ndarray], np.ndarray] = np.asarray
    ) -> Iterator[tuple[list[str], Tensor, Tensor]]:
        """This process's share: ids, pixels [B,3,H,W] and labels uint8 [B,H,W], on the device."""

        def read(chunk: list[str]) -> tuple[list[str], Tensor, Tensor]:
            images = self._stacked([cut(self.store.image(one)) for one in chunk])
            return chunk, images, self._stacked([cut(self.store.label(one)) for one in chunk])

        own = list(self.chunks(ids))[distributed.rank() :: distributed.world()]
        for chunk, images, labels in in_order(read, own, 1) if self.reads_ahead else map(read, own):
            pixels, truth = (one.to(self.speed.device, non_blocking=True) for one in (images, labels))
            yield chunk, views.to_pixels(pixels.permute(0, 3, 1, 2)), truth

    def _stacked(self, arrays: list[np.ndarray]) -> Tensor:
        stacked = torch.from_numpy(np.stack(arrays))
        return stacked.pin_memory() if self.reads_ahead else stacked

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
