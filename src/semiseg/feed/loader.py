"""Training batches as a function of (seed, iteration): the same for any number of workers, processes and resumes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.feed.draws import Draws
from semiseg.feed.geometry import Region, draw_regions, read_image, read_label, valid_bounds
from semiseg.feed.store import Store
from semiseg.feed.transfer import to_device


@dataclass(frozen=True)
class Loaded:
    """This process's part of one step's images on the device, still uint8; `views.to_pixels` makes them pixels."""

    iteration: int
    image: Tensor  # uint8 [Bl,3,H,W], channels last in memory
    label: Tensor  # int64 [Bl,H,W], 255 ignored
    unlabelled: Tensor | None  # uint8 [Bu,3,H,W]
    valid: Tensor | None  # bool [Bu,H,W], False on padding
    given: Tensor | None  # int64 [Bu,H,W], labels that other runs gave to the unlabelled images, 255 on padding
    samples_labelled: np.ndarray  # int64 [Bl], positions in the run, which are the keys of the samples' draws
    samples_unlabelled: np.ndarray  # int64 [Bu]
    ids_unlabelled: tuple[str, ...]


@dataclass(frozen=True)
class _Stream:
    """An endless sequence of images; every epoch has another order."""

    name: str
    ids: tuple[str, ...]
    batch: int  # images of one step, over all processes

    def positions(self, iteration: int, parts: int, rank: int, world: int) -> np.ndarray:
        """This process's share of each part of the batch."""
        first = iteration * self.batch
        return np.arange(first, first + self.batch).reshape(parts, world, -1)[:, rank].reshape(-1)

    def ids_at(self, seed: int, positions: np.ndarray) -> tuple[str, ...]:
        count = len(self.ids)
        return tuple(self.ids[_order(seed, self.name, p // count, count)[p % count]] for p in positions.tolist())


@lru_cache(maxsize=16)
def _order(seed: int, name: str, epoch: int, count: int) -> np.ndarray:
    return Draws(seed, epoch).permutation(f"{name}/order", count)


class Loader:
    """Batches of scaled, cropped and flipped images from the store; batch sizes are those of all processes together.

    If a batch is processed in `parts`, each part is divided among the processes, so the parts do not depend on the
    number of processes.

    `workers` threads read ahead (OpenCV and numpy release the GIL while they copy); with 0 the calling thread
    reads. The labels of `unlabelled_ids` are not read, except by `hidden_labels`.
    """

    def __init__(
        self,
        store: Store,
        labelled_ids: Sequence[str],
        unlabelled_ids: Sequence[str],
        *,
        seed: int,
        batch_labelled: int,
        batch_unlabelled: int,
        crop: tuple[int, int],
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        given: Mapping[str, np.ndarray] | None = None,
        parts: int = 1,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        # Sorted, because the order of a list file is not part of a split.
        self._labelled = _Stream("labelled", tuple(sorted(labelled_ids)), batch_labelled)
        self._unlabelled = _Stream("unlabelled", tuple(sorted(unlabelled_ids)), batch_unlabelled)
        _check(self._labelled, self._unlabelled, parts * world)
        self.store, self.seed, self.given = store, seed, given
        self.crop, self.scale, self.flip = crop, scale, flip
        self.parts, self.rank, self.world, self.workers = parts, rank, world, workers
        self.device = torch.device(device)
        self._copies = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        # Batches are read in parallel; threads within one small resize would only compete with them.
        cv2.setNumThreads(1)

    def batch(self, iteration: int) -> Loaded:
        return self._arrive(self._send(iteration))

    def batches(self, start: int, stop: int) -> Iterator[Loaded]:
        """The batches of iterations start, …, stop - 1, read ahead by the workers."""
        if self.workers == 0:
            yield from map(self.batch, range(start, stop))
            return
        waiting: deque = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="loader") as pool:
            try:
                for iteration in range(start, stop):
                    waiting.append(pool.submit(self._send, iteration))
                    if len(waiting) > self.workers + 1:
                        yield self._arrive(waiting.popleft().result())
                while waiting:
                    yield self._arrive(waiting.popleft().result())
            finally:
                for future in waiting:
                    future.cancel()

    def hidden_labels(self, batch: Loaded) -> Tensor:
        """Labels of the batch's unlabelled images, int64 [Bu,H,W], 255 without a mask; only the controls use them."""
        regions = self._regions(self._unlabelled.name, batch.iteration, batch.samples_unlabelled, batch.ids_unlabelled)
        ids = batch.ids_unlabelled
        masks = [self.store.label(id_) if self.store.has_label(id_) else None for id_ in ids]
        return self._move(self._cut(masks, regions)).long()

    # ------------------------------------------------------------------ in a worker

    def _send(self, iteration: int) -> tuple[Loaded, torch.cuda.Event | None]:
        """Read the batch and start its copy to the device while the device computes."""
        if self._copies is None:
            return self._read(iteration), None
        with torch.cuda.stream(self._copies):
            batch = self._read(iteration)
            return batch, self._copies.record_event()

    def _read(self, iteration: int) -> Loaded:
        images, labels = self.read_labelled(iteration)
        positions, weak, regions, ids = self.read_unlabelled(iteration)
        return Loaded(
            iteration=iteration,
            image=self._move(images).permute(0, 3, 1, 2),
            label=self._move(labels).long(),
            unlabelled=self._move(weak).permute(0, 3, 1, 2) if ids else None,
            valid=self._valid(regions) if ids else None,
            given=self._move(self._cut([self.given[one] for one in ids], regions)).long() if self.given else None,
            samples_labelled=self._labelled.positions(iteration, self.parts, self.rank, self.world),
            samples_unlabelled=positions,
            ids_unlabelled=ids,
        )

    def read_labelled(self, iteration: int) -> tuple[Tensor, Tensor]:
        """uint8 images [Bl,H,W,3] and labels [Bl,H,W], on the host."""
        _, images, regions, ids = self._images(self._labelled, iteration)
        labels = self._buffer(len(ids), *self.crop)
        for id_, region, out in zip(ids, regions, labels.numpy(), strict=True):
            read_label(self.store.label(id_), region, out)
        return images, labels

    def read_unlabelled(self, iteration: int) -> tuple[np.ndarray, Tensor, list[Region], tuple[str, ...]]:
        """Positions, uint8 images [Bu,H,W,3], their regions and ids, on the host."""
        return self._images(self._unlabelled, iteration)

    def _images(self, stream: _Stream, iteration: int) -> tuple[np.ndarray, Tensor, list[Region], tuple[str, ...]]:
        positions = stream.positions(iteration, self.parts, self.rank, self.world) if stream.ids else np.arange(0)
        ids = stream.ids_at(self.seed, positions)
        regions = self._regions(stream.name, iteration, positions, ids)
        images = self._buffer(len(ids), *self.crop, 3)
        for id_, region, out in zip(ids, regions, images.numpy(), strict=True):
            read_image(self.store.image(id_), region, out)
        return positions, images, regions, ids

    def _cut(self, masks: Sequence[np.ndarray | None], regions: Sequence[Region]) -> Tensor:
        """uint8 [B,H,W]: the regions of label maps, 255 without a label map."""
        labels = self._buffer(len(masks), *self.crop).fill_(IGNORE)
        for mask, region, out in zip(masks, regions, labels.numpy(), strict=True):
            if mask is not None:
                read_label(mask, region, out)
        return labels

    def _regions(self, name: str, iteration: int, positions: np.ndarray, ids: Sequence[str]) -> list[Region]:
        sizes = [self.store.size(id_) for id_ in ids]
        draws = Draws(self.seed, iteration, positions)
        return draw_regions(draws, f"{name}/region", sizes, self.crop, self.scale, self.flip)

    def _valid(self, regions: list[Region]) -> Tensor:
        bounds = to_device(valid_bounds(regions, self.crop[1]), self.device)[:, :, None, None]
        rows = torch.arange(self.crop[0], device=self.device)[:, None]
        columns = torch.arange(self.crop[1], device=self.device)
        return (rows < bounds[:, 0]) & (columns >= bounds[:, 1]) & (columns < bounds[:, 2])

    def _buffer(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self._copies is not None)

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)

    # ------------------------------------------------------------------ in the caller's thread

    def _arrive(self, sent: tuple[Loaded, torch.cuda.Event | None]) -> Loaded:
        batch, copied = sent
        if copied is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(copied)
            for tensor in (batch.image, batch.label, batch.unlabelled, batch.valid, batch.given):
                if tensor is not None:
                    tensor.record_stream(current)  # its memory is not reused before the step has finished
        return batch


def _check(labelled: _Stream, unlabelled: _Stream, shares: int) -> None:
    if not labelled.ids:
        raise UserError("the split has no labelled image; choose a partition with at least one")
    for stream in (labelled, unlabelled):
        if stream.batch % shares:
            raise UserError(
                f"recipe.batch.{stream.name} is {stream.batch}; processes x accumulate ({shares}) must divide it"
            )
