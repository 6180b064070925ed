"""Ranks unlabelled images by how useful their labels are: images should be uncertain, diverse, and few per group.

An image's uncertainty is the mean entropy of its pixels plus the share of pixels on which student and teacher differ.
Images are taken one after another, each time the one with the largest uncertainty times distance, in the encoder's
feature space, to the nearest image that is labelled or taken (k-centre: Sener & Savarese 2018).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg import views
from semiseg.base.errors import UserError
from semiseg.datasets.reading.images import read_image
from semiseg.hardware.device import choose_device
from semiseg.inference import trained
from semiseg.inference.predict import STRIDE, Predictor

AFFECTS_RESULTS = False

PER_GROUP = 2  # largest number of images from one group
_SIDE = 512  # longest side of the image from which features are computed


@dataclass(frozen=True)
class Seen:
    """The networks' outputs for one image."""

    id: str
    path: Path
    group: str | None
    entropy: float  # 0 to 1; 1: all classes equally likely
    disagreement: float | None  # share of pixels; None with one network
    feature: np.ndarray  # of length 1

    @property
    def uncertainty(self) -> float:
        return self.entropy + (self.disagreement or 0.0)


@dataclass(frozen=True)
class Pick:
    seen: Seen
    distance: float  # distance to the nearest image that is labelled or already picked

    @property
    def reason(self) -> str:
        parts = [f"entropy {100 * self.seen.entropy:.0f} %"]
        if self.seen.disagreement is not None:
            parts.append(f"student and teacher differ on {100 * self.seen.disagreement:.1f} %")
        return f"{', '.join(parts)}, distance {self.distance:.2f} to the nearest labelled or listed image"


class Looker:
    """Both networks of a run, if it has both."""

    def __init__(self, run: Path) -> None:
        device = choose_device()
        self.main = Predictor(trained.load(run, None, device), device)
        other = {"student": "teacher", "teacher": "student", "second": "student"}[self.main.trained.label]
        try:
            self.other: Predictor | None = Predictor(trained.load(run, other, device), device)
        except UserError:  # a method without a teacher
            self.other = None

    def __call__(self, id_: str, path: Path, group: str | None) -> Seen:
        image = read_image(path)
        scores = self.main.probabilities(image[None])[0]
        entropy = -(scores * np.log(np.maximum(scores, 1e-7))).sum(0).mean() / math.log(len(scores))
        disagreement = None
        if self.other is not None:
            disagreement = float((self.other(image[None])[0][0] != scores.argmax(0)).mean())
        return Seen(id_, path, group, float(entropy), disagreement, self.feature(image))

    @torch.inference_mode()
    def feature(self, image: np.ndarray) -> np.ndarray:
        pixels = views.to_pixels(torch.from_numpy(image[None]).to(self.main.speed.device).permute(0, 3, 1, 2))
        scale = min(1.0, _SIDE / max(pixels.shape[-2:])) * min(self.main.protocol["scales"], key=lambda s: abs(s - 1))
        size = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in pixels.shape[-2:]]
        found: Tensor = self.main.trained.network.encode(views.normalise(F.interpolate(pixels.float(), size)))[-1]
        vector = found.float().mean((0, 2, 3)).cpu().numpy()
        return vector / max(float(np.linalg.norm(vector)), 1e-12)


def choose(candidates: Sequence[Seen], labelled: Sequence[np.ndarray], count: int) -> list[Pick]:
    """The first `count` images to label, the most useful one first."""
    if not candidates:
        return []
    features = np.stack([one.feature for one in candidates])
    uncertainty = np.array([one.uncertainty for one in candidates])
    distance = np.full(len(candidates), 2.0)  # distance of opposite vectors
    for known in labelled:
        distance = np.minimum(distance, np.linalg.norm(features - known, axis=1))
    taken: Counter[str] = Counter()
    free = np.ones(len(candidates), bool)
    picks: list[Pick] = []
    while len(picks) < count and free.any():
        worth = np.where(free, uncertainty * distance, -1.0)
        place = int(worth.argmax())
        one = candidates[place]
        free[place] = False
        picks.append(Pick(one, float(distance[place])))
        distance = np.minimum(distance, np.linalg.norm(features - features[place], axis=1))
        if one.group is not None:
            taken[one.group] += 1
            if taken[one.group] >= PER_GROUP:
                free &= np.array([other.group != one.group for other in candidates])
    return picks


def rank(
    run: Path,
    candidates: Sequence[tuple[str, Path, str | None]],
    labelled: Sequence[Path],
    count: int,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Pick]:
    """(id, image, group) of the unlabelled images, and the labelled ones; `advance` counts both."""
    look = Looker(run)
    known = []
    for path in labelled:
        known.append(look.feature(read_image(path)))
        advance(1)
    seen = []
    for id_, path, group in candidates:
        seen.append(look(id_, path, group))
        advance(1)
    return choose(seen, known, count)
