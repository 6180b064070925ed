"""`bench loader`: the store, crop-then-resize and views on the device, compared with the usual PIL pipeline.

Rows per size: `image`, an unlabelled image from disk (page cache) to scaled, cropped, flipped bytes; `image and mask`,
the same for a labelled image; `recipe`, an unlabelled image to one weak and two strong normalised views, as in
UniMatch.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageFilter, ImageOps
from torchvision import transforms

from semiseg import views
from semiseg.bench.synthetic import Photographs, Sample
from semiseg.bench.timing import alternate, result, row
from semiseg.feed.draws import Draws
from semiseg.feed.loader import Loader
from semiseg.feed.store import Store, build, open_store

BATCH = 8


@dataclass(frozen=True)
class Case:
    name: str
    suffix: str
    height: int
    width: int
    crop: int
    count: int  # images on disk


CASES = (
    Case("VOC 500x375 JPEG, crop 321", ".jpg", 375, 500, 321, 16),
    Case("Cityscapes 2048x1024 PNG, crop 801", ".png", 1024, 2048, 801, 4),
)


def run(seconds: float = 20, device: str = "cpu", cases: tuple[Case, ...] = CASES) -> dict[str, Any]:
    """Measure on one core; each row and its counterpart together take `seconds`."""
    torch.set_num_threads(1)
    rows = []
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            dataset = Photographs(Path(folder) / "raw", case.suffix, case.height, case.width, case.count)
            build(dataset, Path(folder) / "store")
            store, samples = open_store(Path(folder) / "store"), dataset.subsets["train"]
            pairs = {
                "image": (_reading(store, case, masks=False), partial(_pil_crop, case=case, masks=False), "cpu"),
                "image and mask": (_reading(store, case, masks=True), partial(_pil_crop, case=case, masks=True), "cpu"),
                "recipe": (_recipe(store, case, device), partial(_pil_views, case=case), device),
            }
            for what, (fast, slow, where) in pairs.items():
                rows += _pair(case, what, fast, slow, samples, seconds, where)
    return result("loader", rows, device)


def _pair(
    case: Case, what: str, fast: Callable[[], object], slow: Callable[[Sample], object],
    samples: tuple[Sample, ...], seconds: float, device: str,
) -> list[dict[str, Any]]:  # fmt: skip
    ours, field = alternate((fast, lambda: slow(random.choice(samples))), seconds, device)
    rows = [row(case.name, f"{what}: semiseg", ours, BATCH), row(case.name, f"{what}: PIL", field, 1)]
    rows[0]["times_as_fast"] = float(f"{rows[1]['median_ms'] / rows[0]['median_ms']:.3g}")
    return rows


def _reading(store: Store, case: Case, masks: bool) -> Callable[[], object]:
    ids, size = store.subsets["train"], (case.crop, case.crop)
    loader = Loader(store, ids, ids, seed=0, batch_labelled=BATCH, batch_unlabelled=BATCH, crop=size)
    read = loader.read_labelled if masks else loader.read_unlabelled
    iterations = iter(range(10**9))
    return lambda: read(next(iterations))


def _recipe(store: Store, case: Case, device: str) -> Callable[[], object]:
    ids = store.subsets["train"]
    loader = Loader(
        store, ids, ids, seed=0, batch_labelled=0, batch_unlabelled=BATCH, crop=(case.crop, case.crop), device=device
    )
    iterations = iter(range(10**9))

    def make() -> list[torch.Tensor]:
        batch = loader.batch(next(iterations))
        draws = Draws(0, batch.iteration, batch.samples_unlabelled)
        weak = views.to_pixels(batch.unlabelled)
        strong = [views.photometric(weak, draws, stream) for stream in ("first", "second")]
        return [views.normalise(view) for view in (weak, *strong)]

    return make


# ---------------------------------------------------------------- the usual pipeline of public repositories:
# decode, resize the whole image, pad, crop, flip; then every view by PIL, one image at a time.


def _pil_crop(sample: Sample, case: Case, masks: bool) -> list[Image.Image]:
    pictures = [(Image.open(sample.image).convert("RGB"), Image.Resampling.BILINEAR, 0)]
    if masks:
        pictures.append((Image.open(sample.mask), Image.Resampling.NEAREST, 255))
    scale, flip = random.uniform(0.5, 2.0), random.random() < 0.5
    width, height = round(case.width * scale), round(case.height * scale)
    left = random.randint(0, max(width - case.crop, 0))
    top = random.randint(0, max(height - case.crop, 0))
    missing = (0, 0, max(case.crop - width, 0), max(case.crop - height, 0))
    crops = []
    for picture, interpolation, padding in pictures:
        whole = ImageOps.expand(picture.resize((width, height), interpolation), missing, fill=padding)
        crop = whole.crop((left, top, left + case.crop, top + case.crop))
        crops.append(ImageOps.mirror(crop) if flip else crop)
    return crops


_JITTER = transforms.ColorJitter(0.5, 0.5, 0.5, 0.25)
_GREY = transforms.RandomGrayscale(p=0.2)
_TENSOR = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
)


def _pil_views(sample: Sample, case: Case) -> list[torch.Tensor]:
    (weak,) = _pil_crop(sample, case, masks=False)
    return [_TENSOR(view) for view in (weak, _pil_strong(weak), _pil_strong(weak))]


def _pil_strong(image: Image.Image) -> Image.Image:
    if random.random() < 0.8:
        image = _JITTER(image)
    image = _GREY(image)
    if random.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
    return image
