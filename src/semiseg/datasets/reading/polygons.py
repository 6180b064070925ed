"""Reads shapes of LabelMe's JSON, one file per image, as label maps.

A pixel belongs to a polygon when its centre lies inside. Later shapes cover earlier ones.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.base.errors import UserError
from semiseg.base.explain import nearest
from semiseg.base.labels import IGNORE
from semiseg.datasets.reading.images import MAX_PIXELS, open_image

IGNORED_NAMES = ("ignore", "__ignore__")
_CIRCLE = 72  # corners of the polygon that replaces a circle


def is_labelme(data: bytes) -> bool:
    return data.lstrip()[:1] == b"{"


def read_labelme(data: bytes, where: str | Path) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise UserError(f"{where} is not valid JSON ({error}); save it again from the annotation tool") from error
    size = [content.get(key) if isinstance(content, dict) else None for key in ("imageHeight", "imageWidth")]
    if not all(type(side) is int and side > 0 for side in size) or not isinstance(content.get("shapes"), list):
        raise UserError(
            f"{where} is no file of LabelMe: it needs shapes, imageHeight and imageWidth; save it again with LabelMe, "
            "or export masks or COCO from your tool"
        )
    if size[0] * size[1] > MAX_PIXELS:
        raise UserError(f"{where} describes an image of {size[1]}x{size[0]} pixels; correct imageHeight and imageWidth")
    return content


def decode(data: bytes, where: str | Path, classes: Mapping[str, int], outside: int) -> np.ndarray:
    """uint8 [H, W]; `outside` is the class of pixels that no shape covers."""
    content = read_labelme(data, where)
    label = np.full((content["imageHeight"], content["imageWidth"]), outside, np.uint8)
    for number, shape in enumerate(content["shapes"], 1):
        here = f"{where}: shape {number}"
        name = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(name, str) or (name not in classes and name not in IGNORED_NAMES):
            raise UserError(
                f"{here} is labelled {name!r}, which is no class of classes.yaml{nearest(str(name), classes)}"
            )
        label[_inside(shape, label.shape, here)] = classes.get(name, IGNORE)
    return label


def names(data: bytes, where: str | Path) -> list[str]:
    """Labels of the shapes."""
    return [str(shape.get("label")) for shape in read_labelme(data, where)["shapes"] if isinstance(shape, dict)]


def _inside(shape: dict[str, Any], size: tuple[int, int], where: str) -> np.ndarray:
    kind = shape.get("shape_type") or "polygon"
    try:
        points = np.array(shape["points"], float).reshape(-1, 2)
        if not np.isfinite(points).all():
            raise ValueError("a coordinate is not a number")
        match kind:
            case "mask":
                return _pasted(shape["mask"], points, size, where)
            case "rectangle":
                (left, top), (right, bottom) = points.min(0), points.max(0)
                points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
            case "circle":
                angles = np.linspace(0, 2 * np.pi, _CIRCLE, endpoint=False)
                radius = np.hypot(*(points[1] - points[0]))
                points = points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
            case "polygon":
                pass
            case _:
                raise UserError(f"{where} is a {kind}, which has no area; draw a polygon, or remove it")
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, binascii.Error) as error:
        raise UserError(f"{where} cannot be read as a {kind} ({error}); draw it again, or remove it") from error
    return fill(points, size)


def fill(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [H, W]: pixels whose centre lies inside the polygon with corners (x, y), by the even-odd rule."""
    height, width = size
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    rows = np.arange(height) + 0.5
    crossed = (y0[:, None] <= rows) != (y1[:, None] <= rows)  # [edges, rows]
    edge, row = np.nonzero(crossed)
    x = x0[edge] + (rows[row] - y0[edge]) / (y1[edge] - y0[edge]) * (x1[edge] - x0[edge])
    toggles = np.zeros((height, width + 1), np.int32)
    np.add.at(toggles, (row, np.ceil(np.clip(x, 0, width) - 0.5).astype(int).clip(0, width)), 1)
    return np.cumsum(toggles, axis=1)[:, :width] % 2 == 1


def _pasted(encoded: str, points: np.ndarray, size: tuple[int, int], where: str) -> np.ndarray:
    """LabelMe's `mask`: a PNG in base64 between two corners, including the lower right corner."""
    part = np.asarray(open_image(base64.b64decode(encoded, validate=True), where).convert("L")) > 0
    left, top = (int(round(value)) for value in points.min(0))
    inside = np.zeros(size, bool)
    target = inside[max(top, 0) : top + part.shape[0], max(left, 0) : left + part.shape[1]]
    target |= part[max(-top, 0) :, max(-left, 0) :][: target.shape[0], : target.shape[1]]
    return inside
