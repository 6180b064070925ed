"""Predicts label maps for images of any size; a bad file does not stop the others."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from semiseg import views
from semiseg.base.errors import OutOfMemory, UserError
from semiseg.base.files import atomic
from semiseg.datasets.reading.images import read_image
from semiseg.hardware.device import Speed
from semiseg.inference.gallery import Gallery
from semiseg.inference.image_finder import Source
from semiseg.inference.trained import Trained
from semiseg.inference.writing import writing
from semiseg.scoring import protocols

AFFECTS_RESULTS = False

PIECE = 2**21  # pixels of one forward pass: a Cityscapes image
TILE, MARGIN = 1024, 192  # larger images are cut into tiles of this side, with this margin around them
STRIDE = 32  # the coarsest stride of the encoders: tiles start at its multiples, and smaller sides are padded to it
OVERLAY = 0.5  # weight of the colours in the overlay
THREADS = min(4, os.cpu_count() or 1)  # threads that read ahead and write results


class Predictor:
    """A trained network under its run's protocol; memory depends on PIECE, not on the image size."""

    def __init__(self, trained: Trained, device: torch.device) -> None:
        self.trained = trained
        self.protocol = trained.config["evaluation"]["protocol"]
        self.speed = Speed(trained.config["recipe"]["engine"], device)
        self.network = self.speed.place(trained.network)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [B,H,W,3] to class indices and their probability (0..255), both uint8 [B,H,W]."""
        label, confidence = self._in_tiles(images, self._labels)
        return label, confidence

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """uint8 [B,H,W,3] to float32 [B,C,H,W]."""
        [scores] = self._in_tiles(images, lambda piece: (self._scores(piece).cpu().numpy(),))
        return scores

    def _in_tiles(
        self, images: np.ndarray, of_piece: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    ) -> tuple[np.ndarray, ...]:
        """Apply `of_piece` to images of any size; height and width are the last dimensions of its arrays."""
        size = images.shape[1:3]
        if size[0] * size[1] <= PIECE:
            return of_piece(images)
        wholes: tuple[np.ndarray, ...] = ()
        for top, bottom in spans(size[0]):
            for left, right in spans(size[1]):
                outer = (slice(max(top - MARGIN, 0), bottom + MARGIN), slice(max(left - MARGIN, 0), right + MARGIN))
                inside = (
                    slice(top - outer[0].start, bottom - outer[0].start),
                    slice(left - outer[1].start, right - outer[1].start),
                )
                found = of_piece(images[:, outer[0], outer[1]])
                wholes = wholes or tuple(np.empty((*part.shape[:-2], *size), part.dtype) for part in found)
                for whole, part in zip(wholes, found, strict=True):
                    whole[..., top:bottom, left:right] = part[..., inside[0], inside[1]]
        return wholes

    @torch.inference_mode()
    def _labels(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        label, confidence = protocols.label_map(self._scores(images))
        return label.byte().cpu().numpy(), (confidence * 255).byte().cpu().numpy()

    @torch.inference_mode()
    def _scores(self, images: np.ndarray) -> torch.Tensor:
        height, width = images.shape[1:3]
        uint8 = torch.from_numpy(np.ascontiguousarray(images)).to(self.speed.device)
        pixels = views.normalise(views.to_pixels(uint8.permute(0, 3, 1, 2)))
        pixels = F.pad(pixels, (0, max(STRIDE - width, 0), 0, max(STRIDE - height, 0)))
        with self.speed.autocast():
            scores = protocols.probabilities(lambda part: self.network(part).logits, pixels, self.protocol)
        return scores[..., :height, :width]


def spans(side: int) -> list[tuple[int, int]]:
    """The side in about equal parts of at most TILE."""
    parts = math.ceil(side / TILE)
    step = math.ceil(side / parts / STRIDE) * STRIDE
    return [(start, min(start + step, side)) for start in range(0, side, step)]


def predict(
    predictor: Predictor,
    sources: Sequence[Source],
    out: Path,
    batch: int,
    confidence: bool,
    advance: Callable[[int], None],
    gallery: Gallery | None = None,
) -> dict[str, str]:
    """Write the pictures of every image below `out`; return the unreadable files, with reasons."""
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        writing: deque[Future[None]] = deque()
        try:
            for group in _groups(_read(sources, pool, failures, advance), batch):
                labels, sure = _guarded(predictor, np.stack([image for _, image in group]), group[0][0])
                for (source, image), label, certainty in zip(group, labels, sure, strict=True):
                    pictures = draw(image, label, predictor.trained.palette)
                    if confidence:
                        pictures["confidence"] = Image.fromarray(certainty)
                    writing.append(pool.submit(_write, pictures, out, source.name))
                    if gallery is not None:
                        writing.append(pool.submit(gallery.add, source.name, image, label, certainty))
                while len(writing) > THREADS:
                    writing.popleft().result()
                advance(len(group))
            while writing:
                writing.popleft().result()
        finally:
            for future in writing:
                future.cancel()
    return failures


def _guarded(predictor: Predictor, images: np.ndarray, first: Source) -> tuple[np.ndarray, np.ndarray]:
    try:
        return predictor(images)
    except torch.OutOfMemoryError as error:
        height, width = images.shape[1:3]
        raise OutOfMemory(
            f"out of GPU memory at {first.path} ({len(images)} images of {width}x{height}); lower --batch, or use "
            "the CPU by CUDA_VISIBLE_DEVICES= in front of the command"
        ) from error


def _read(
    sources: Sequence[Source], pool: ThreadPoolExecutor, failures: dict[str, str], advance: Callable[[int], None]
) -> Iterator[tuple[Source, np.ndarray]]:
    """Yield the images in order; a few are read ahead. Bad files are recorded and left out."""
    waiting: deque[tuple[Source, Future[np.ndarray]]] = deque()
    rest = iter(sources)
    while True:
        waiting.extend((one, pool.submit(read_image, one.path)) for one in islice(rest, THREADS - len(waiting)))
        if not waiting:
            return
        source, future = waiting.popleft()
        try:
            image = future.result()
        except UserError as error:
            failures[str(source.path)] = str(error)
            advance(1)
            continue
        yield source, image


def _groups(images: Iterable[tuple[Source, np.ndarray]], most: int) -> Iterator[list[tuple[Source, np.ndarray]]]:
    """Batches of successive images with the same size, together no larger than a piece."""
    group: list[tuple[Source, np.ndarray]] = []
    for source, image in images:
        height, width = image.shape[:2]
        fits = group and image.shape == group[0][1].shape and (len(group) + 1) * height * width <= PIECE
        if group and not (fits and len(group) < most):
            yield group
            group = []
        group.append((source, image))
    if group:
        yield group


def draw(image: np.ndarray, label: np.ndarray, palette: Sequence[Sequence[int]]) -> dict[str, Image.Image]:
    """The pictures: class numbers (which viewers show in colours), the colours, and the colours over the image."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    colours = table[label]
    index = Image.fromarray(label)
    index.putpalette(table.tobytes())
    blend = np.rint(image * (1 - OVERLAY) + colours * OVERLAY).astype(np.uint8)
    return {"index": index, "colour": Image.fromarray(colours), "overlay": Image.fromarray(blend)}


def _write(pictures: dict[str, Any], out: Path, name: str) -> None:
    for kind, picture in pictures.items():
        path = out / kind / f"{name}.png"
        with writing(path), atomic(path) as temporary:
            picture.save(temporary, format="PNG", compress_level=1 if kind == "overlay" else 6)
