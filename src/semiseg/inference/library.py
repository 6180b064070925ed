"""The package as a library: a finished run as an object that takes images and gives labels (docs/library.md)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.reading.images import read_image
from semiseg.hardware.device import choose_device
from semiseg.inference import trained
from semiseg.inference.predict import Predictor
from semiseg.scoring.selection import class_iou, mean_iou

AFFECTS_RESULTS = False

Picture = np.ndarray | Image.Image | str | Path


class Model:
    """A trained network under its run's evaluation protocol.

    Memory is bounded, because large images are processed in tiles.
    """

    def __init__(self, run: str | Path, network: str | None = None, device: str | torch.device | None = None) -> None:
        place = choose_device() if device is None else _usable(device)
        loaded = trained.load(Path(run), network, place)
        self.run, self.network, self.config = loaded.run, loaded.label, loaded.config
        self.classes, self.palette = loaded.classes, loaded.palette
        self._predictor = Predictor(loaded, place)

    def predict(self, image: Picture, probabilities: bool = False) -> np.ndarray:
        """uint8 [H, W], the class of each pixel; or float32 [classes, H, W], the probability of each class."""
        pixels = as_pixels(image)[None]
        return self._predictor.probabilities(pixels)[0] if probabilities else self._predictor(pixels)[0][0]

    def __repr__(self) -> str:
        return f"<{self.network} of {self.run}: {', '.join(self.classes)}>"


@dataclass(frozen=True)
class Scores:
    """The scores of one evaluation.

    Shares in percent, NaN for classes that occur neither in masks nor in predictions.
    """

    images: int
    miou: float
    iou: dict[str, float]
    pixel_accuracy: float
    confusion: np.ndarray  # pixels, rows truth, columns prediction


def load(run: str | Path, network: str | None = None, device: str | torch.device | None = None) -> Model:
    """The run's network: the one that its method reports, or `student`, `teacher` or `second`."""
    return Model(run, network, device)


def _usable(device: str | torch.device) -> torch.device:
    try:
        return torch.empty(1, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:  # PyTorch without CUDA raises an AssertionError
        known = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
        raise UserError(f"the device {device} cannot be used here; choose {' or '.join(known)}") from error


def evaluate(model: Model | str | Path, data: str | Path | Iterable[tuple[Picture, np.ndarray]]) -> Scores:
    """Scores on a folder with images/, masks/ and classes.yaml, or on pairs of an image and its label map.

    A label map holds class numbers, and 255 at pixels that are not scored. Images without a mask are left out.
    """
    model = model if isinstance(model, Model) else load(model)
    pairs = _of_folder(Path(data), model.classes) if isinstance(data, str | Path) else _of_pairs(data)
    count = len(model.classes)
    confusion, images = np.zeros((count, count), np.int64), 0
    for image, label in pairs:
        predicted = model.predict(image)
        confusion += _confusion(np.asarray(label), predicted, count)
        images += 1
    if not confusion.any():
        raise UserError("no labelled pixel was found; give images with masks that hold at least one class")
    iou = dict(zip(model.classes, map(float, class_iou(confusion)), strict=True))
    return Scores(images, mean_iou(confusion), iou, float(100 * np.trace(confusion) / confusion.sum()), confusion)


def as_pixels(image: Picture) -> np.ndarray:
    """uint8 [H, W, 3] of an array, a PIL image or a file."""
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"))
    pixels = np.array(image)  # a copy, because PyTorch warns about read-only arrays
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UserError(
            f"the image is an array of {pixels.dtype} and shape {pixels.shape}; give uint8 [height, width, 3] in RGB, "
            "uint8 [height, width], a PIL image or a path"
        )
    return pixels


def _confusion(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    if label.shape != predicted.shape:
        raise UserError(f"a label map has shape {label.shape}, its image {predicted.shape}; give both the same size")
    valid = label != IGNORE
    if valid.any() and not 0 <= label[valid].min() <= label[valid].max() < classes:
        raise UserError(f"a label map holds the number {label[valid].max()}; classes are 0 to {classes - 1}, and 255")
    pairs = label[valid].astype(np.int64) * classes + predicted[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _of_pairs(data: Any) -> Iterator[tuple[Picture, Any]]:
    wanted = "give a folder with images/, masks/ and classes.yaml, or pairs of an image and its label map"
    if not isinstance(data, Iterable):
        raise UserError(f"the data to evaluate on is {data!r:.60}; {wanted}")
    for one in data:
        if not isinstance(one, tuple | list) or len(one) != 2:
            raise UserError(f"the data to evaluate on holds {type(one).__name__} where a pair is needed; {wanted}")
        yield one[0], one[1]


def _of_folder(folder: Path, classes: tuple[str, ...]) -> Iterator[tuple[Path, Any]]:
    from semiseg.datasets.kinds import folder as kind

    with tempfile.TemporaryDirectory() as scratch:
        found = kind.read_classes(kind.classes_file(folder))
        if found.names != classes:
            raise UserError(f"{folder} has the classes {', '.join(found.names)}, the model {', '.join(classes)}")
        for sample in kind.pair(folder, DatasetConfig(kind="folder").group_pattern, Path(scratch)):
            if sample.mask is not None:
                yield sample.image, found.coding.decode(sample.mask.read_bytes(), sample.mask)
