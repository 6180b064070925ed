"""Survey of a user's folder: sizes, classes, rare classes, suspicious masks, images that leak into val."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semiseg.base.errors import UserError
from semiseg.base.files import sha256_bytes
from semiseg.base.progress import progress
from semiseg.datasets.dataset import Sample
from semiseg.datasets.first_look import near_duplicates
from semiseg.datasets.reading.classes import Classes
from semiseg.datasets.reading.images import image_size, read_bytes
from semiseg.datasets.reading.masks import MAX_CLASSES

RARE = 0.01
_NAMED = 3
_SPECKS = 0.02  # a mask looks like noise if more pixels than this share differ from all four neighbours
_THREADS = 4


@dataclass(frozen=True)
class Survey:
    images: int
    labelled: int
    shortest: int  # quantiles of the sides of the images
    median_side: int  # shorter side of the image in the middle
    shares: dict[str, float]  # shares of the labelled pixels
    images_with: dict[str, int]
    remarks: tuple[str, ...]

    @property
    def rare(self) -> list[str]:
        return [name for name, share in self.shares.items() if 0 < share < RARE]


def survey(samples: Sequence[Sample], classes: Classes, subsets: Mapping[str, Sequence[Sample]]) -> Survey:
    labelled = [sample for sample in samples if sample.mask is not None]
    with (
        progress("reading the images", len(samples) + len(labelled)) as advance,
        ThreadPoolExecutor(_THREADS) as pool,
    ):

        def sight(sample: Sample) -> tuple[tuple[int, int] | str, np.ndarray | None]:
            try:
                found = image_size(sample.image), near_duplicates.thumbnail(sample.image)
            except UserError as error:
                found = str(error), None
            advance(1)
            return found

        def look(sample: Sample) -> _Mask:
            found = _look(sample, classes)
            advance(1)
            return found

        seen = dict(zip((one.id for one in samples), pool.map(sight, samples), strict=True))
        masks = list(pool.map(look, labelled))
    sides = sorted(min(size) for size, _ in seen.values() if not isinstance(size, str))
    if not sides:
        raise UserError(f"none of the images of {samples[0].image.parent} can be read; replace them")
    unread = [size for size, _ in seen.values() if isinstance(size, str)]
    remarks = [*unread[:_NAMED], *_more(unread, "images")]
    remarks += _odd(masks, classes.names)
    remarks += _alike(subsets, {one: thumbnail for one, (_, thumbnail) in seen.items()})
    pixels = sum((one.pixels for one in masks), np.zeros(MAX_CLASSES + 1, np.int64))[: len(classes.names)]
    images_with = sum((one.pixels > 0 for one in masks), np.zeros(MAX_CLASSES + 1, np.int64))
    return Survey(
        len(samples), len(labelled), sides[0], sides[len(sides) // 2],
        {name: float(n / max(pixels.sum(), 1)) for name, n in zip(classes.names, pixels, strict=True)},
        {name: int(n) for name, n in zip(classes.names, images_with, strict=False)},
        tuple(remarks),
    )  # fmt: skip


@dataclass(frozen=True)
class _Mask:
    id: str
    pixels: np.ndarray  # int64 [256]
    digest: str = ""
    specks: float = 0.0
    problem: str = ""


def _look(sample: Sample, classes: Classes) -> _Mask:
    try:
        data = read_bytes(sample.mask)
        label = classes.coding.decode(data, sample.mask)
        size = image_size(sample.image)
    except UserError as error:
        return _Mask(sample.id, np.zeros(256, np.int64), problem=str(error))
    problem = "" if label.shape == size else (
        f"{sample.mask} is {label.shape[1]}x{label.shape[0]}, but its image {size[1]}x{size[0]}"
    )  # fmt: skip
    inner = label[1:-1, 1:-1]
    alone = np.ones(inner.shape, bool)
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        alone &= inner != label[down : down + inner.shape[0], right : right + inner.shape[1]]
    specks = float(alone.mean()) if alone.size else 0.0
    digest = sha256_bytes(label.tobytes() + str(label.shape).encode())
    return _Mask(sample.id, np.bincount(label.ravel(), minlength=256), digest, specks, problem)


def _odd(masks: Sequence[_Mask], names: Sequence[str]) -> list[str]:
    """Masks that the user should inspect before training."""
    sound = [one for one in masks if not one.problem]
    problems = [one.problem for one in masks if one.problem]
    remarks = [*problems[:_NAMED], *_more(problems, "masks")]
    lost = sum(not one.pixels.any() for one in masks)
    if lost:
        remarks.append(f"{lost} of {len(masks)} masks could not be read: the shares of the classes leave them out")
    kinds = {one.id: np.flatnonzero(one.pixels[: len(names)]) for one in sound}
    usual = np.median([len(found) for found in kinds.values()]) if kinds else 0
    empty = [one for one, found in kinds.items() if len(found) == 0]
    single = [one for one, found in kinds.items() if len(found) == 1 and usual >= 2]
    by_digest = defaultdict(list)
    for one in sound:
        if len(kinds[one.id]) > 1:
            by_digest[one.digest].append(one.id)
    twins = [ids for ids in by_digest.values() if len(ids) > 1]
    noisy = [one.id for one in sound if one.specks > _SPECKS]
    for found, what in (
        (empty, "hold ignored pixels only"),
        (single, "hold one class, where most hold several: is an object missing"),
        ([" = ".join(ids[:_NAMED]) for ids in twins], "are equal to the mask of another image: was one saved twice"),
        (noisy, "are full of single pixels: were they scaled or compressed"),
    ):
        if found:
            remarks.append(f"{len(found)} masks {what}{'?' if ':' in what else ''} ({_some(found)})")
    return remarks


def _more(problems: Sequence[str], what: str) -> list[str]:
    return [f"and {len(problems) - _NAMED} more {what} with problems"] if len(problems) > _NAMED else []


def _alike(subsets: Mapping[str, Sequence[Sample]], thumbnails: Mapping[str, np.ndarray | None]) -> list[str]:
    remarks = []
    for held in ("val", "test"):
        theirs = list(subsets.get(held, ()))
        ours = [sample for name in ("train", "extra") for sample in subsets.get(name, ())]
        found = near_duplicates.pairs([thumbnails[s.id] for s in theirs], [thumbnails[s.id] for s in ours])
        if found:
            counted = Counter(first for first, _ in found)
            first, second = found[0]
            remarks.append(
                f"{len(counted)} of {len(theirs)} images of {held} look like an image that is trained on "
                f"({theirs[first].id} like {ours[second].id}): figures will flatter; give `group_pattern`, so that "
                "frames of a video or tiles of a picture stay together"
            )
    return remarks


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def path_of_classes(folder: Path) -> Path | None:
    return next(
        (folder / one for one in ("classes.yaml", "classes.yml", "classes.txt") if (folder / one).exists()), None
    )
