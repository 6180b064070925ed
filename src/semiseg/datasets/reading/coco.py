"""Reads a COCO file: divides it into one LabelMe file per image, and decodes run lengths.

Format: "COCO data format", cocodataset.org. Run lengths count pixels column by column, background first. As text
they are differences to the count two before, in groups of five bits from the lowest, plus 48.
"""

from __future__ import annotations

import base64
import io
import json
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets.reading.images import MAX_PIXELS

MARK = "made_from.json"


def divide(path: Path, images: Collection[str], folder: Path) -> dict[str, Path]:
    """Write a file in LabelMe's format below `folder` for every image with annotations; returns them by image name.

    An image without annotations counts as unlabelled. If the COCO file is unchanged, nothing is written.
    """
    data = path.read_bytes()
    made_from = {"sha256": files.sha256_bytes(data), "images": files.sha256_json(sorted(images))}
    with files.locked(folder.parent / f".{folder.name}.lock"):
        note = files.peek_json(folder / MARK) or {}
        if note.get("made_from") != made_from:
            (folder / MARK).unlink(missing_ok=True)
            written = _write(_parse(data, path), path, images, folder)
            for old in [one for one in files.below(folder) if one.suffix == ".json"]:
                if old.relative_to(folder).with_suffix("").as_posix() not in written:
                    old.unlink()
            files.write_json(folder / MARK, {"made_from": made_from, "names": sorted(written)})
        return {name: folder / f"{name}.json" for name in files.read_json(folder / MARK)["names"]}


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); export it again from the annotation tool") from error
    lists = isinstance(content, dict) and all(
        isinstance(content.get(key), list) and all(isinstance(one, dict) for one in content[key])
        for key in ("images", "annotations", "categories")
    )
    if not lists:
        raise UserError(
            f"{path} has the name of no image and is no COCO file, which has the lists images, annotations and "
            "categories; export it again, or name it as its image"
        )
    return content


def _write(content: dict[str, Any], path: Path, images: Collection[str], folder: Path) -> set[str]:
    of_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    places, written = _Places(images), set()
    try:
        for one in content["annotations"]:
            of_image[one["image_id"]].append(one)
        categories = {one["id"]: str(one["name"]) for one in content["categories"]}
        for image in content["images"]:
            annotations = of_image.get(image["id"])
            if not annotations:
                continue
            name = places.find(image["file_name"], path)
            if name in written:
                raise UserError(f"{path} lists {image['file_name']} twice; keep one of them")
            size = (int(image["height"]), int(image["width"]))
            # Larger shapes first, so that a small object stays visible on a large one.
            ordered = sorted(annotations, key=lambda one: -float(one.get("area") or 0))
            shapes = [shape for one in ordered for shape in _shapes(one, categories, size, path)]
            files.write_json(folder / f"{name}.json", {"shapes": shapes, "imageHeight": size[0], "imageWidth": size[1]})
            written.add(name)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}); export it again") from error
    return written


class _Places:
    """Images by their names in a COCO file: the path below images/, or the file name if it is unique."""

    def __init__(self, images: Collection[str]) -> None:
        self.images = images
        self.by_name: dict[str, list[str]] = defaultdict(list)
        for one in images:
            self.by_name[PurePosixPath(one).name].append(one)

    def find(self, file_name: str, path: Path) -> str:
        stem = PurePosixPath(unicodedata.normalize("NFC", str(file_name).replace("\\", "/"))).with_suffix("")
        whole = stem.as_posix().removeprefix("images/")
        if whole in self.images:
            return whole
        alike = self.by_name.get(stem.name, [])
        if len(alike) != 1:
            many = f"{len(alike)} images" if alike else "no image"
            raise UserError(f"{path} lists {file_name}, which is {many} of images/; write its path below images/")
        return alike[0]


def _shapes(
    one: dict[str, Any], categories: dict[Any, str], size: tuple[int, int], path: Path
) -> Iterable[dict[str, Any]]:
    label, segmentation = categories[one["category_id"]], one.get("segmentation")
    if not segmentation:
        raise UserError(
            f"{path}: the annotation {one.get('id')} ({label}) has a box and no outline; semantic segmentation needs "
            "polygons or masks"
        )
    if isinstance(segmentation, dict):
        mask = run_lengths_decode(segmentation)
        if mask.shape != size:
            raise ValueError(f"annotation {one.get('id')} is {mask.shape}, its image {size}")
        yield pasted(label, mask)
        return
    for part in segmentation:
        yield {"label": label, "shape_type": "polygon", "points": np.array(part, float).reshape(-1, 2).tolist()}


def pasted(label: str, mask: np.ndarray) -> dict[str, Any]:
    """A LabelMe shape of type `mask`."""
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
    corners = [[0, 0], [mask.shape[1] - 1, mask.shape[0] - 1]]
    return {
        "label": label,
        "shape_type": "mask",
        "points": corners,
        "mask": base64.b64encode(buffer.getvalue()).decode(),
    }


def run_lengths_decode(segmentation: dict[str, Any]) -> np.ndarray:
    """bool [H, W]."""
    height, width = segmentation["size"]
    counts = segmentation["counts"]
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(f"run lengths for an image of {width}x{height} pixels")
    lengths = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
    if lengths.sum() != height * width or lengths.min(initial=0) < 0:
        raise ValueError(f"run lengths of {lengths.sum()} pixels for an image of {height * width}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T


def _unpacked(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
