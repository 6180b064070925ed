"""Writes a page of predictions: it works offline and for thousands of images; the least certain images come first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semiseg.base.files import write_text
from semiseg.inference.writing import writing

AFFECTS_RESULTS = False

TEMPLATE = Path(__file__).with_name("gallery.html")
THUMBNAIL, VIEW = 192, 960  # longest sides
OVERLAY = 0.5
LEAST = 0.001  # smallest share of an image for a class to count as shown


class Gallery:
    """Collects one entry for each image and writes its pictures; `write` makes the page."""

    def __init__(
        self, out: Path, title: str, classes: Sequence[str], palette: Sequence[Sequence[int]], listed: bool = False
    ) -> None:
        self.listed = listed  # keep the order in which images were added
        self.folder, self.title, self.classes = out / "gallery", title, list(classes)
        self.palette = [list(colour) for colour in palette]
        self.entries: list[dict[str, Any]] = []

    def add(self, name: str, image: np.ndarray, label: np.ndarray, certainty: np.ndarray, note: str = "") -> None:
        """uint8 RGB [H,W,3], classes and their probabilities (0..255) [H,W]."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.palette)] = self.palette
        size = fitting(image.shape[1], image.shape[0], VIEW)
        photo, mask = Image.fromarray(image).resize(size), Image.fromarray(label).resize(size, Image.Resampling.NEAREST)
        colours = Image.fromarray(table[np.asarray(mask)])
        mask.putpalette(table.tobytes())
        thumbnail = Image.blend(photo, colours, OVERLAY).resize(fitting(*size, THUMBNAIL))
        sure = Image.fromarray(certainty).resize(size)
        for kind, picture in (("image", photo), ("thumbnail", thumbnail), ("confidence", sure)):
            self._save(picture, kind, f"{name}.jpg", format="JPEG", quality=82)
        self._save(mask, "mask", f"{name}.png", format="PNG")
        shares = np.bincount(label.ravel(), minlength=len(self.classes))[: len(self.classes)] / label.size
        self.entries.append(
            {
                "name": name,
                "size": [image.shape[1], image.shape[0]],
                "thumbnail": list(thumbnail.size),
                "confidence": round(float(certainty.mean()) / 255, 4),
                "shares": {k: round(float(share), 4) for k, share in enumerate(shares) if share >= LEAST},
                "note": note,
                "rank": len(self.entries),
            }
        )

    def _save(self, picture: Image.Image, kind: str, name: str, **options: Any) -> None:
        """Write without an atomic, flushed temporary file: the pictures are many, and quickly made again."""
        path = self.folder / kind / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, **options)

    def write(self) -> Path:
        content = {
            "title": self.title,
            "classes": [{"name": n, "colour": c} for n, c in zip(self.classes, self.palette, strict=True)],
            "listed": self.listed,
            "images": sorted(self.entries, key=lambda one: (one["confidence"], one["name"])),
        }
        # `</script>` in a name must not end the script.
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        path = self.folder / "index.html"
        with writing(path):
            write_text(path, TEMPLATE.read_text(encoding="utf-8").replace('"CONTENT"', text))
        return path


def fitting(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size with the same proportions whose longer side is at most `longest`."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
