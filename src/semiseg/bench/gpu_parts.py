"""What `bench gpu` measures; each part is called in a process that has not touched the GPU before.

The order is that of importance: a sitting that ends early has the step times, and the slow compilations come last.
"""

from __future__ import annotations

import functools
import itertools
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.bench import pocket_cell, step_speed
from semiseg.bench.gpu_session import Part, Rows
from semiseg.bench.timing import alternate, row
from semiseg.engine.train import Training
from semiseg.hardware.device import choose_device, cpu_name, prepare
from semiseg.models.weights import state_sha256

METHODS = ("supervised", "advsemiseg", "cutmix_seg", "unimatch")
NETWORK = {"architecture": "deeplab_v3plus", "encoder": "tu-resnet101.tv_in1k", "output_stride": 16}
LIGHT = {"architecture": "deeplab_v3plus", "encoder": "tu-resnet18.tv_in1k", "output_stride": 16}
SMALL = {"architecture": "small", "encoder": ""}
SECONDS = {321: 20, 513: 30, 801: 45}  # crop: what its part takes
AT_ONCE = {321: 10, 513: 5, 801: 3}  # steps between two waits
BATCHES = (8, 4, 2)  # the first that fits
EAGER = {"compile": False}
WAYS = {"eager": EAGER, "plain": {"plain": True}}
COMPILED = {"compiled": {}, "eager": EAGER}
TIMED = 4.0  # seconds of one comparison
MIN_KEPT = 200_000  # of the suite cityscapes
REPEATED, REPEATED_CROP = 10, 321  # steps and crop of a training that is done twice


def parts() -> list[Part]:
    crops = itertools.product(SECONDS, METHODS)
    steps = {crop: [_step(method, crop, WAYS, "step", SECONDS[crop]) for method in METHODS] for crop in SECONDS}
    return [
        Part("ceiling", "ceiling", "large matrix products in each precision", 10, ceiling),
        *steps[321],
        Part("waiting", "waiting", "does a step wait for the GPU? methods without a teacher run", 60, waiting),
        Part("determinism", "determinism", "a training twice, with and without `deterministic`", 60, determinism),
        *steps[513],
        Part("threshold", "threshold", "the threshold of OHEM in two ways, of 8 crops", 10, threshold),
        Part("evaluation", "evaluation", "whole images through ResNet-101 to confusion matrices", 30, evaluation),
        *steps[801],
        Part("precision", "precision", "a cell of pocket in bf16 and in fp32, three seeds each", 120, precision),
        *(_step(method, crop, COMPILED, "compiled", 120) for crop, method in crops),
    ]


def _step(method: str, crop: int, ways: dict[str, dict[str, Any]], group: str, seconds: float) -> Part:
    words = f"a step of {method}, ResNet-101, crop {crop}, {' and '.join(ways)}"
    measure = functools.partial(step, method, crop, ways)
    return Part(f"{group}-{method}-{crop}", group, words, seconds, measure)


def card() -> Rows:
    """What the figures depend on beside the code."""
    if not torch.cuda.is_available():
        raise UserError("PyTorch sees no GPU here; run it on a machine that has one")
    properties = torch.cuda.get_device_properties(0)
    return [
        {
            "gpu": properties.name,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "capability": f"{properties.major}.{properties.minor}",
            "driver": _asked("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "python": platform.python_version(),
            "cpu": cpu_name(),
            "cores": workers(),
            "commit": _asked("git", "rev-parse", "HEAD"),
            "changed": bool(_asked("git", "status", "--porcelain", "--untracked-files=no", "src", "params.yaml")),
        }
    ]


def _asked(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def workers() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---------------------------------------------------------------- the parts


def ceiling(images: Path) -> Rows:
    """TFLOP/s, as `share_of_matmul` of a step takes them."""
    found = []
    for precision in ("bf16", "tf32", "fp32"):
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        speed = step_speed.matmul_ceiling(choose_device(), precision == "bf16")
        found.append({"precision": precision, "tflop_per_second": round(speed, 1)})
    return found


def step(method: str, crop: int, ways: dict[str, dict[str, Any]], images: Path) -> Rows:
    """The first batch that fits in one way at least."""
    for batch in BATCHES:
        settings = (method, NETWORK, crop, batch, TIMED, min(8, workers()))
        rows = step_speed.run(*settings, ways=ways, at_once=AT_ONCE[crop], folder=images)["rows"]
        if any("median_ms" in line for line in rows):
            return [{"method": method, "crop": crop, "batch": batch} | line for line in rows]
    raise UserError(f"{BATCHES[-1]} + {BATCHES[-1]} images do not fit into the card's memory")


def waiting(images: Path) -> Rows:
    """torch's own check: an operation that makes the host wait for the device is an error."""
    alone = [name for name in methods.names() if not _needs_runs(name)]
    return [{"method": name, "waits": _waits(name, images)} for name in alone]


def _needs_runs(method: str) -> bool:
    kind = methods.load(method)
    return bool(kind.needs(kind.Options()))


def _waits(method: str, images: Path) -> str:
    """ "no", or what waited."""
    training = _training(method, SMALL, 64, EAGER, images)
    _steps(training, 3)  # the search for the fastest convolutions does wait
    torch.cuda.synchronize()
    batches = list(itertools.islice(training.loader.batches(training.iteration, step_speed.UNWANTED), 2))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            training.step(batch)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "no"


def determinism(images: Path) -> Rows:
    """Two trainings from one seed: are their weights the same bits, and what does it cost that they are?"""
    rows = []
    for method in METHODS:
        times = {}
        for deterministic in (True, False):
            engine = EAGER | {"deterministic": deterministic}
            (one, times[deterministic]), (other, _) = (_trained(method, engine, images) for _ in range(2))
            rows.append(
                {
                    "method": method,
                    "deterministic": deterministic,
                    "same_bits": one == other,
                    "steps": REPEATED,
                    "median_ms": round(1000 * times[deterministic], 2),
                }
            )
        rows[-2]["times_as_long"] = round(times[True] / times[False], 3)
    return rows


def _trained(method: str, engine: dict[str, Any], images: Path) -> tuple[str, float]:
    """Hash of the student's weights after some steps, and the median time of the later half of them."""
    training = _training(method, LIGHT, REPEATED_CROP, engine, images)
    seconds = _steps(training, REPEATED)
    student = training.state.trained["student"]
    return state_sha256(student.state_dict()), statistics.median(seconds[REPEATED // 2 :])


def threshold(images: Path) -> Rows:
    """The k-th smallest of a batch's probabilities, as `criteria.ohem` needs it; the first way is the one it takes."""
    device, rows = choose_device(), []
    for crop in SECONDS:
        values = torch.rand(BATCHES[0] * crop * crop, device=device)
        k = min(MIN_KEPT, len(values))
        ways = {
            "topk": lambda v=values, k=k: torch.topk(v, k, largest=False, sorted=False).values.amax(),
            "kthvalue": lambda v=values, k=k: torch.kthvalue(v, k).values,
        }
        times = alternate(list(ways.values()), TIMED, device)
        rows += [row(f"{crop}", way, found, 1) for way, found in zip(ways, times, strict=True)]
    return rows


def evaluation(images: Path) -> Rows:
    """The engine's own evaluation, its reading included, of images as large as VOC's and Cityscapes'."""
    rows = []
    for crop, words in ((321, "375x500"), (801, "1024x2048")):
        training = _training("supervised", NETWORK, crop, EAGER, images)
        ids = list(training.store.subsets["train"])
        prepare(training.speed)
        call = functools.partial(training.evaluator.matrices, training.state.trained["student"], ids)
        [times] = alternate([call], TIMED, training.device, least=3)
        rows.append(row(words, "images to confusion matrices", times, len(ids), precision=training.speed.precision))
    return rows


def precision(images: Path) -> Rows:
    """mIoU after the last iteration, and the time that each training took."""
    return [
        line | {"precision": wanted}
        for wanted in ("bf16", "fp32")
        for line in pocket_cell.trainings({"precision": wanted} | EAGER, images / "pocket")
    ]


# ---------------------------------------------------------------- trainings


def _training(method: str, network: dict[str, Any], crop: int, engine: dict[str, Any], images: Path) -> Training:
    settings = step_speed.settings_of(method, {}, network, crop, 4, engine)
    return step_speed.open_training(settings, step_speed.made_images(images, crop))


def _steps(training: Training, count: int) -> list[float]:
    return list(_timed(training, count))


def _timed(training: Training, count: int) -> Iterator[float]:
    prepare(training.speed)
    for batch in itertools.islice(training.loader.batches(training.iteration, step_speed.UNWANTED), count):
        start = time.perf_counter()
        training.step(batch)
        if training.device.type == "cuda":
            torch.cuda.synchronize()
        yield time.perf_counter() - start
