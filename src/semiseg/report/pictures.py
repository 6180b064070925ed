"""Predictions as pictures: the worst, the median and the best image by difference to supervised, not chosen by hand."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semiseg.base import files
from semiseg.base.labels import voc_palette
from semiseg.report import names
from semiseg.report.cells import Cell, Run
from semiseg.report.plots import frames
from semiseg.report.records import Records
from semiseg.scoring.selection import mean_iou

IGNORED = 255
RIGHT, WRONG, VOID = (225, 225, 225), (200, 30, 60), (255, 255, 255)

# What the report asks for: image id -> (picture uint8 [H, W, 3], label uint8 [H, W], 255 ignored).
ReadImage = Callable[[str], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Shown:
    """One image of the viewer: why it was chosen, and the files of its views by method."""

    id: str
    reason: str
    image: str
    truth: str
    width: int
    height: int
    methods: list[dict[str, Any]] = field(default_factory=list)


def build(
    records: Records, folder: Path, read_image: ReadImage, classes: int, palette: Sequence[Sequence[int]]
) -> list[Shown]:
    """Write the pictures of the split where most methods can be compared, first finished seed of each method."""
    runs = _runs(frames.focus(records))
    predictions = {label: _predictions(run) for label, run in runs.items()}
    predictions = {label: arrays for label, arrays in predictions.items() if arrays}
    kept = [{key.rpartition("/")[0] for key in arrays} for arrays in predictions.values()]
    common = sorted(set.intersection(*kept)) if kept else []
    if not common:
        return []
    read = {image: read_image(image) for image in common}
    chosen = choose(read, runs, predictions, classes)
    colours = np.array(palette, dtype=np.uint8)
    return [
        _write(folder / f"{position}", image, reason, read[image], runs, predictions, colours)
        for position, (image, reason) in enumerate(chosen)
    ]


def _runs(cells: Sequence[Cell]) -> dict[str, Run]:
    """Label -> first finished run of the cell."""
    return {names.of(cell): cell.finished[0] for cell in cells}


def _predictions(run: Run) -> dict[str, np.ndarray]:
    path = run.folder / "predictions.npz"
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}


def choose(
    read: Mapping[str, tuple[np.ndarray, np.ndarray]], runs: Mapping[str, Run],
    predictions: Mapping[str, Mapping[str, np.ndarray]], classes: int,
) -> list[tuple[str, str]]:  # fmt: skip
    """(image, reason): worst, median and best by the methods' mean difference to supervised in image mIoU.

    Student to student, teacher to teacher and within one head, as everywhere.
    """
    base = next((label for label, run in runs.items() if run.method == "supervised" and label in predictions), None)
    others = [label for label in predictions if base and label != base and runs[label].head == runs[base].head]
    if not others:
        return [(image, "kept for pictures") for image in sorted(read)][:3]

    def gain(image: str) -> float:
        label = read[image][1]
        gains = []
        for other in others:
            ours, theirs = (predictions[name].get(f"{image}/{runs[other].network}") for name in (other, base))
            if ours is not None and theirs is not None:
                gains.append(image_miou(ours, label, classes) - image_miou(theirs, label, classes))
        return float(np.mean(gains)) if gains else 0.0

    ranked = sorted(read, key=lambda image: (gain(image), image))
    places = {"smallest gain": 0, "median gain": len(ranked) // 2, "largest gain": len(ranked) - 1}
    reasons: dict[str, list[str]] = {}
    for words, place in places.items():
        reasons.setdefault(ranked[place], []).append(words)
    return [
        (image, f"{' and '.join(words)} of {len(ranked)} images: {gain(image):+.1f} points over supervised")
        for image, words in reasons.items()
    ]


def image_miou(prediction: np.ndarray, label: np.ndarray, classes: int) -> float:
    known = label != IGNORED
    cells = label[known].astype(np.int64) * classes + prediction[known]
    return mean_iou(np.bincount(cells, minlength=classes * classes).reshape(classes, classes))


def _write(
    stem: Path, image: str, reason: str, read: tuple[np.ndarray, np.ndarray], runs: Mapping[str, Run],
    predictions: Mapping[str, Mapping[str, np.ndarray]], palette: np.ndarray,
) -> Shown:  # fmt: skip
    picture, label = read
    folder = stem.parent.name
    write_picture(stem.with_name(f"{stem.name}-image.png"), picture)
    write_labels(stem.with_name(f"{stem.name}-truth.png"), label, palette)
    height, width = label.shape
    shown = Shown(image, reason, f"{folder}/{stem.name}-image.png", f"{folder}/{stem.name}-truth.png", width, height)
    for position, (name, arrays) in enumerate(predictions.items()):
        run = runs[name]
        prediction, own = arrays[f"{image}/{run.network}"], f"{stem.name}-{position:02}"
        write_labels(stem.with_name(f"{own}-prediction.png"), prediction, palette)
        write_labels(
            stem.with_name(f"{own}-errors.png"), errors(prediction, label), np.array([RIGHT, WRONG, VOID], np.uint8)
        )
        views = {"prediction": f"{folder}/{own}-prediction.png", "errors": f"{folder}/{own}-errors.png"}
        confidence = arrays.get(f"{image}/confidence")
        if confidence is not None:
            write_picture(stem.with_name(f"{own}-confidence.png"), confidence)
            views["confidence"] = f"{folder}/{own}-confidence.png"
        known = label != IGNORED
        right = 100.0 * float((prediction[known] == label[known]).mean()) if known.any() else None
        shown.methods.append(
            {"name": name, "network": run.network, "seed": run.seed, "accuracy": right, "views": views}
        )
    return shown


def errors(prediction: np.ndarray, label: np.ndarray) -> np.ndarray:
    """0 right, 1 wrong, 2 ignored."""
    return np.where(label == IGNORED, 2, (prediction != label).astype(np.uint8)).astype(np.uint8)


def write_labels(path: Path, label: np.ndarray, palette: np.ndarray) -> None:
    """Indexed PNG: a label map of a photograph takes a few kilobytes."""
    picture = Image.fromarray(label)
    table = np.full((256, 3), 255, dtype=np.uint8)
    table[: len(palette)] = palette
    picture.putpalette(table.tobytes())
    _save(path, picture)


def write_picture(path: Path, pixels: np.ndarray) -> None:
    _save(path, Image.fromarray(pixels))


def _save(path: Path, picture: Image.Image) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    files.write_bytes(path, buffer.getvalue())


def palette_of(dataset: Mapping[str, Any]) -> list[list[int]]:
    """The data set's own colours, or PASCAL VOC's."""
    own = dataset.get("palette")
    colours = own if own is not None else voc_palette(len(dataset["classes"]))
    return [[int(value) for value in colour] for colour in colours]
