"""Estimates how long a training takes before it has run: counted FLOPs over a stated share of a device's peak.

Estimates serve to request enough time from a scheduler and to plan a budget. Measured figures take precedence.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.base.files import peek_json
from semiseg.datasets.kind import REGISTRY
from semiseg.datasets.manifest import manifest_path
from semiseg.models.architecture import REGISTRY as ARCHITECTURES

AFFECTS_RESULTS = False

TABLE = Path(__file__).with_name("flops.csv")  # made by scripts/count_flops.py
FIGURES = ("gflops_per_megapixel", "gflops_per_squared_megapixel", "million_parameters")

# Dense TFLOP/s from data sheets: matrix products in bf16, TF32 and fp32; None if a card has no such units.
PEAKS: dict[str, dict[str, float | None]] = {
    name: dict(zip(("bf16", "tf32", "fp32"), peaks, strict=True))
    for name, peaks in {
        "a100": (312.0, 156.0, 19.5), "a40": (149.7, 74.8, 37.4), "a6000": (154.8, 77.4, 38.7),
        "h100": (989.0, 494.7, 67.0), "h200": (989.0, 494.7, 67.0), "l4": (121.0, 60.0, 30.3),
        "l40s": (362.0, 183.0, 91.6), "rtx3090": (71.0, 35.6, 35.6), "rtx4090": (165.2, 82.6, 82.6),
        "t4": (None, None, 8.1), "v100": (None, None, 15.7),
    }.items()
}  # fmt: skip
REFERENCE = "a100"
CPU = "cpu"
# Shares of the peaks that a training reaches, by assumption: its layers are thin for matrix units. UniMatch V2's
# published logs come to 0.68 of an A100's fp32 peak (docs/scaling.md).
EFFICIENCY = {"bf16": 0.2, "tf32": 0.2, "fp32": 0.6}
STEP_OVERHEAD = 0.03  # seconds of a step on a GPU that are not arithmetic: launches, augmentation, losses
START_SECONDS = 90  # imports, data, networks, compilation, final products
# One core of the machine in docs/scaling.md (table of planned and measured runs).
CPU_GFLOPS = 50.0
CPU_STEP_OVERHEAD = 0.008
CPU_START_SECONDS = 5.0  # data, networks, final products
IMPORT_SECONDS = 8.0  # start-up that record.json does not count
BACKWARD = 3.0  # ratio of forward and backward to forward alone

# GFLOPs per megapixel of a discriminator of width 64 for 21 classes: the terms linear and quadratic in the width.
DISCRIMINATOR = (10.8, 49.2)

UNKNOWN_SET = (500, 512 * 512)  # images and pixels if the kind of data set states none


@dataclass(frozen=True)
class Network:
    gflops_per_megapixel: float
    gflops_per_squared_megapixel: float  # FLOPs of attention among all patches of an image
    million_parameters: float
    counted: bool  # False: this network is not in the table, and another one stands in for it

    def gflops(self, megapixels: float) -> float:
        """A forward pass of one image."""
        return (self.gflops_per_megapixel + self.gflops_per_squared_megapixel * megapixels) * megapixels


def network(config: dict[str, Any], head: str = "pixel") -> Network:
    """The counted figures of a network; those of ResNet-101 with DeepLabV3+ if it was not counted."""
    table, wanted = _table(), key(config, head)
    times = config["width"] / 16 if config["architecture"] == "small" else 1.0
    wider = 0.68 * times + 0.32 * times**2  # FLOPs: the first and the last layers grow with the width only linearly
    found = table.get(wanted) or table.get((*wanted[:2], "16", "pixel"))
    counted = found is not None
    linear, squared, parameters = found or table["deeplab_v3plus", "resnet101", "16", "pixel"]
    return Network(linear * wider, squared, parameters * times**2, counted)


def key(config: dict[str, Any], head: str) -> tuple[str, str, str, str]:
    """A network's row in a table.

    Builds of timm and of segmentation_models_pytorch differ only in names and weights.
    """
    encoder = config["encoder"].removeprefix("tu-").split(".")[0]
    return config["architecture"], encoder, str(config["output_stride"]), head


@functools.cache
def _table() -> dict[tuple[str, ...], tuple[float, ...]]:
    with TABLE.open() as stream:
        return {
            (row["architecture"], row["encoder"], row["output_stride"], row["head"]):
            tuple(float(row[name]) for name in FIGURES)
            for row in csv.DictReader(stream)
        }  # fmt: skip


def needs_gpu(config: dict[str, Any]) -> bool:
    """Whether the CPU trains the network: small networks are made for one core; all others are too slow there."""
    network = config["recipe"]["network"]
    return not ARCHITECTURES.load(network["architecture"]).for_cpu(network.get("encoder", ""))


def gpus(config: dict[str, Any]) -> int:
    """Devices, and processes, of one training; 0 means a process on the CPU."""
    return config["recipe"]["gpus"] if needs_gpu(config) else 0


def step_gflops(config: dict[str, Any]) -> float:
    """GFLOPs of one step over the global batch."""
    recipe, method = config["recipe"], methods.of_run(config)
    passes = method.passes
    nothing_left = config["split"]["partition"] == "full" and not config["dataset"].get("extra")
    unlabelled = 0 if nothing_left else recipe["batch"]["unlabelled"]
    labelled = recipe["batch"]["labelled"]
    forward = network(recipe["network"], method.head).gflops(_megapixels(*recipe["crop"]))
    trained = passes.labelled * labelled + passes.unlabelled * unlabelled
    looked_at = passes.labelled_without_gradient * labelled + passes.without_gradient * unlabelled
    return method.networks * forward * (BACKWARD * trained + looked_at)


def step_seconds(config: dict[str, Any], device: str = REFERENCE) -> float:
    gflops = step_gflops(config) + player_gflops(config)
    if device == CPU or not needs_gpu(config):
        return CPU_STEP_OVERHEAD + gflops / CPU_GFLOPS
    return STEP_OVERHEAD + gflops / config["recipe"]["gpus"] / rate(device, config["recipe"]["engine"])


def player_gflops(config: dict[str, Any]) -> float:
    """GFLOPs of a step of AdvSemiSeg's discriminator.

    `step_gflops` leaves the discriminator out: methods are compared by the cost of the segmentation networks.
    """
    options = methods.of_run(config).options
    if not hasattr(options, "width_d"):
        return 0.0
    times, recipe = options.width_d / 64, config["recipe"]
    linear, squared = DISCRIMINATOR
    forward = (linear * times + squared * times**2) * _megapixels(*recipe["crop"])
    labelled, unlabelled = recipe["batch"]["labelled"], recipe["batch"]["unlabelled"]
    # It judges all predictions, with gradients for the students; then it is trained on predictions and on labels.
    own = 2 * labelled + unlabelled * options.discriminate_unlabelled
    return forward * ((BACKWARD - 1) * (labelled + unlabelled) + BACKWARD * own)


def rate(device: str, engine: dict[str, Any] | None = None) -> float:
    """Assumed GFLOP/s of a training on a GPU, in the fastest precision that the training may use."""
    settings = engine or {"plain": False, "precision": "auto"}
    finest = "fp32" if settings["plain"] else settings["precision"]
    allowed = {"fp32": ("fp32",), "tf32": ("fp32", "tf32")}.get(finest, ("fp32", "tf32", "bf16"))
    peaks = PEAKS.get(device, PEAKS[REFERENCE])
    return 1000 * max((peaks[name] or 0.0) * EFFICIENCY[name] for name in allowed)


def evaluation_seconds(config: dict[str, Any], device: str = REFERENCE, as_found: bool = False) -> float:
    """Seconds of one evaluation of student and teacher on all evaluated sets; the processes share the images."""
    settings, recipe = config["evaluation"], config["recipe"]
    side = config["dataset"].get("options", {}).get("side")  # to which this kind of data set resizes its images
    protocol = settings["protocol"]
    counted = network(recipe["network"], methods.of_run(config).head)

    def gflops(image: float) -> float:
        """GFLOPs for an image of this number of megapixels, at one scale."""
        if protocol["name"] != "sliding":
            return counted.gflops(image)
        window = _megapixels(*protocol["size"])
        return image / (window * protocol["stride"] ** 2) * counted.gflops(window)

    passes = (2 if protocol["flip"] else 1) * (2 if recipe["ema"] else 1)
    total = passes * sum(
        images * gflops((side**2 if side else pixels) / 1e6 * scale**2)
        for images, pixels in evaluated_sets(config, as_found).values()
        for scale in protocol["scales"]
    )
    if device == CPU or not needs_gpu(config):
        return total / CPU_GFLOPS
    return total / recipe["gpus"] / rate(device, recipe["engine"])


def evaluated_sets(config: dict[str, Any], as_found: bool = False) -> dict[str, tuple[int, float]]:
    """Number of images and pixels per image, by set: stated by the kind of data set, else found by the check.

    `as_found` reverses the order, because a copy may have smaller or fewer images. Requests to a scheduler must not
    change when the check is done, so they use the stated figures first.
    """
    settings = config["evaluation"]
    kind = REGISTRY.load(config["dataset"]["kind"])
    known = {name: (kind.counts[name], height * width) for name, (height, width) in kind.sizes.items()}
    names = {name for name in (settings["evaluated_on"], settings["selected_on"]) if name}
    stated = {} if as_found else known
    return {
        name: stated.get(name) or _checked(config["dataset"]["name"], name) or known.get(name) or UNKNOWN_SET
        for name in sorted(names)
    }


def _checked(dataset: str, subset: str) -> tuple[int, float] | None:
    """The result of the check of the data set; None before the check."""
    verdict = peek_json(manifest_path(dataset), "verdict") or {}
    found = verdict.get("subsets", {}).get(subset)
    if not found or not found["images"]:
        return None
    sizes = [tuple(map(int, size.split("x"))) for size in found["sizes"] if "x" in size]
    return found["images"], max((width * height for width, height in sizes), default=UNKNOWN_SET[1])


def evaluations(config: dict[str, Any]) -> int:
    return -(-config["recipe"]["iterations"] // config["evaluation"]["every"])


def run_seconds(config: dict[str, Any], device: str = REFERENCE, as_found: bool = False) -> float:
    """Seconds from the start of the process to the finished run."""
    steps = config["recipe"]["iterations"] * step_seconds(config, device)
    start = START_SECONDS if needs_gpu(config) and device != CPU else IMPORT_SECONDS + CPU_START_SECONDS
    return start + steps + evaluations(config) * evaluation_seconds(config, device, as_found)


def run_bytes(config: dict[str, Any]) -> int:
    """Bytes of a finished run: weights of every network in fp32, and its compressed evaluations."""
    recipe, method = config["recipe"], methods.of_run(config)
    parameters = network(recipe["network"], method.head).million_parameters * 1e6
    kept = method.networks + (1 if recipe["ema"] else 0)
    images = sum(count for count, _ in evaluated_sets(config).values())
    matrices = images * evaluations(config) * (2 if recipe["ema"] else 1)
    return round(4 * parameters * kept + 60 * matrices + 200_000)


def checkpoint_bytes(config: dict[str, Any]) -> int:
    """Bytes of a checkpoint: networks, teacher and the optimiser's moments."""
    recipe, method = config["recipe"], methods.of_run(config)
    parameters = network(recipe["network"], method.head).million_parameters * 1e6
    moments = 2 if recipe["optimiser"]["name"] == "adamw" else 1
    return round(4 * parameters * (method.networks * (1 + moments) + (1 if recipe["ema"] else 0)))


def _megapixels(height: int, width: int) -> float:
    return height * width / 1e6
