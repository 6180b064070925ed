"""`bench step`: the engine's step on synthetic images, with all speed options, with `engine.plain`, or other options.

The FLOPs of a step are counted once, in eager mode, over all forward and backward passes of the method.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.explain import explain
from semiseg.bench.peak_memory import peak_mib
from semiseg.bench.synthetic import Photographs
from semiseg.bench.timing import alternate, result, row
from semiseg.engine.train import Training
from semiseg.feed.loader import Loaded
from semiseg.feed.store import build
from semiseg.hardware.device import choose_device, prepare
from semiseg.params.evaluation import Evaluation
from semiseg.params.recipe import Recipe
from semiseg.runs.lease import Lease
from semiseg.runs.run_folder import RunFolder
from semiseg.splits.split import Split

# Largest crop, and the kind of images for such crops: procedural images, or sizes as in VOC or Cityscapes.
SOURCES = ((96, (96, 96)), (600, (375, 500)), (10**9, (1024, 2048)))
IMAGES = 8  # images on disk; their kind does not matter
FAST_AND_PLAIN = {"fast": {}, "plain": {"plain": True}}
STEPS_AT_ONCE = {"cpu": 1, "cuda": 10}  # on a GPU the host may run ahead, as in training
LOG_EVERY = 50
UNWANTED = 10**9


def run(
    method: str, network: dict[str, Any], crop: int, batch: int, seconds: float = 20, workers: int = 0,
    options: dict[str, Any] | None = None, ways: Mapping[str, dict[str, Any]] = FAST_AND_PLAIN, at_once: int = 0,
    folder: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One row per variant, which is a name and settings of `engine`; `batch` labelled and as many unlabelled images.

    at_once: steps of one call; the host waits for the GPU after each call. folder: folder of the images, so that
    another call can reuse them.
    """
    device = choose_device()
    if device.type == "cpu":
        torch.set_num_threads(1)
    case = f"{method}, {network['encoder'] or network['architecture']}, crop {crop}, batch {batch}+{batch}"
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as made:
        data = made_images(Path(made), crop)
        steps, missing = [], []
        for name, engine in ways.items():
            settings = settings_of(method, options or {}, network, crop, batch, engine)
            try:
                steps.append(_warmed(name, settings, data, workers, at_once or STEPS_AT_ONCE[device.type]))
            except torch.OutOfMemoryError:
                missing.append(name)
                gc.collect()
        times = alternate(steps, seconds, device, least=3) if steps else []
        rows = [_row(case, one, seconds_of) for one, seconds_of in zip(steps, times, strict=True)]
    rows += [{"case": case, "what": f"{name}: out of memory"} for name in missing]
    if len(steps) == 2:
        rows[0]["times_as_fast"] = float(f"{rows[1]['median_ms'] / rows[0]['median_ms']:.3g}")
    return result("step", rows, device)


class Steps:
    """Some steps of a training, with batches from its loader."""

    def __init__(self, name: str, training: Training, count: int) -> None:
        self.name, self.training, self.count = name, training, count
        self.on_gpu = training.device.type == "cuda"
        self.batches: Iterator[Loaded] = training.loader.batches(0, UNWANTED)
        self.waited = self.spent = 0.0
        self.flops = self.ceiling = 0.0
        self.memory: dict[str, float | None] = {}

    def __call__(self) -> None:
        prepare(self.training.speed)  # the settings of the other row hold for the whole process
        clock = time.perf_counter if self.on_gpu else time.thread_time
        start = clock()
        for _ in range(self.count):
            asked = clock()
            batch = next(self.batches)
            self.waited += clock() - asked
            self.training.step(batch)
            if self.training.iteration % LOG_EVERY == 0:
                self.training.meters.read()
        if self.on_gpu:
            torch.cuda.synchronize()
        self.spent += clock() - start


def _warmed(name: str, settings: dict[str, Any], folder: Path, workers: int, count: int) -> Steps:
    """Compile, choose the convolutions, and measure everything except time."""
    before = torch.cuda.memory_allocated() if torch.cuda.is_available() else 0  # set by the other row
    steps = Steps(name, open_training(settings, folder, workers), count)
    with _eagerly(steps.training):
        steps.flops = _flops(steps)
    steps()
    peak = peak_mib(steps, steps.training.device)
    held = (torch.cuda.max_memory_allocated() - before) / 2**20 if steps.on_gpu else None
    steps.memory = {"step_memory_mib": _short(peak), "peak_gpu_memory_mib": held and _short(held)}
    steps.ceiling = matmul_ceiling(steps.training.device, steps.training.speed.bf16)
    steps.waited = steps.spent = 0.0
    return steps


def _row(case: str, steps: Steps, seconds: list[float]) -> dict[str, Any]:
    training = steps.training
    line = row(case, steps.name, seconds, steps.count)
    per_step = line["median_ms"] / 1000
    unlabelled = len(training.loader._unlabelled.ids) and training.recipe["batch"]["unlabelled"]
    return line | {
        "ms_per_unlabelled_image": _short(1000 * per_step / unlabelled) if unlabelled else None,
        "share_waiting_for_data": _short(steps.waited / steps.spent),
        "tflop_per_step": _short(steps.flops / 1e12),
        "tflop_per_second": _short(steps.flops / 1e12 / per_step),
        "matmul_tflop_per_second": _short(steps.ceiling),
        "share_of_matmul": _short(steps.flops / 1e12 / per_step / steps.ceiling),
        "precision": training.speed.precision,
        "compiled": training.speed.compiles,
        "eager_because": training.speed.eager_because,
        **steps.memory,
    }


def matmul_ceiling(device: torch.device, bf16: bool) -> float:
    """TFLOP/s of the fastest of several large matrix products, in the precision and under the settings of the step."""
    size, tries = (8192, 20) if device.type == "cuda" else (1024, 5)
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16 if bf16 else None) for _ in range(2))
    [times] = alternate([lambda: left @ right], 0, device, least=tries)
    return 2 * size**3 / min(times) / 1e12


def _flops(steps: Steps) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    count = steps.count
    steps.count = 1
    with FlopCounterMode(display=False) as counter:
        steps()
    steps.count = count
    return float(counter.get_total_flops())


@contextmanager
def _eagerly(training: Training) -> Iterator[None]:
    """Count in eager mode, because the counter cannot see into compiled code."""
    before, training.speed.eager_because = training.speed.eager_because, "its arithmetic is counted"
    yield
    training.speed.eager_because = before


def made_images(folder: Path, crop: int) -> Path:
    """A subfolder with a store of images of the size for such crops."""
    height, width = next(size for largest, size in SOURCES if crop <= largest)
    place, unfinished = folder / f"{height}x{width}", folder / f"{height}x{width}.part"
    if not place.exists():
        build(Photographs(unfinished / "raw", ".jpg", height, width, IMAGES), unfinished / "store")
        unfinished.rename(place)
    return place


def settings_of(
    method: str, options: dict[str, Any], network: dict[str, Any], crop: int, batch: int, engine: dict[str, Any]
) -> dict[str, Any]:
    wanted = {
        "network": network,
        "crop": crop,
        "batch": {"labelled": batch, "unlabelled": batch},
        "iterations": UNWANTED,
        "optimiser": {"name": "sgd", "lr": 1e-4},
        "engine": engine,
    }
    try:
        recipe = Recipe.model_validate(wanted)
    except ValidationError as error:
        raise UserError(explain(error, Recipe, "semiseg bench step")) from None
    evaluation = Evaluation(every=1, selected_on=None, diagnostics=0, pictures=0)
    return {
        "dataset": {"name": "made", "kind": "voc"},
        "method": {"name": method, "options": methods.load(method).Options(**options).model_dump(mode="json")},
        "recipe": recipe.model_dump(mode="json"),
        "evaluation": evaluation.model_dump(mode="json") | {"evaluated_on": "train"},
        "seed": 0,
    }


def open_training(settings: dict[str, Any], folder: Path, workers: int = 0) -> Training:
    ids = tuple(f"{number:03d}" for number in range(IMAGES))
    split = Split("made", "1/2", ids[::2], ids[1::2], sha256="")
    return Training(settings, {}, "", RunFolder(folder), folder, split, Lease(folder, ""), print, {"workers": workers})


def _short(value: float) -> float:
    return float(f"{value:.4g}")
