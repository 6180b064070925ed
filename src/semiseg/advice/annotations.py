"""Turns a label map into outlines in LabelMe's JSON, which annotation tools and this package can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

AFFECTS_RESULTS = False

FINER = 3  # outlines run through pixel centres of the enlarged map, so they stay near the true border
TOLERANCE = 1.0  # tolerance in pixels for the simplification of an outline
SMALLEST = 16  # pixels; smaller regions join their surroundings


def labelme(label: np.ndarray, classes: Sequence[str], image_name: str, outside: int | None) -> dict[str, Any]:
    """The shapes, larger regions first, because smaller ones are drawn over them. `outside` needs no shape."""
    import cv2

    found: list[tuple[float, dict[str, Any]]] = []
    fine = np.kron(label, np.ones((FINER, FINER), np.uint8))
    for k, name in enumerate(classes):
        inside = (fine == k).astype(np.uint8)
        outlines, levels = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        holes = levels[0][:, 3] >= 0 if levels is not None else []
        for outline in (one for one, hole in zip(outlines, holes, strict=True) if not hole):
            area = cv2.contourArea(outline) / FINER**2
            if area < SMALLEST or (k == outside and _touches(outline, fine.shape)):
                continue
            points = cv2.approxPolyDP(outline, TOLERANCE * FINER, True)[:, 0]
            if len(points) > 2:
                shape = {"label": name, "points": ((points + 0.5) / FINER).round(2).tolist(), "shape_type": "polygon"}
                found.append((area, shape | {"group_id": None, "flags": {}, "description": ""}))
    found.sort(key=lambda one: -one[0])
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [shape for _, shape in found],
        "imagePath": image_name,
        "imageData": None,
        "imageHeight": label.shape[0],
        "imageWidth": label.shape[1],
    }


def _touches(outline: np.ndarray, size: tuple[int, int]) -> bool:
    x, y = outline[:, 0, 0], outline[:, 0, 1]
    return bool(x.min() == 0 or y.min() == 0 or x.max() == size[1] - 1 or y.max() == size[0] - 1)
