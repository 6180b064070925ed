"""How long a training takes before anyone has run it: counted arithmetic over a stated share of a device's peak.

Estimates serve to ask a scheduler for enough and to plan a budget; a measured figure is better wherever there is one.
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

# Dense bf16 tensor throughput in TFLOP/s by the makers' data sheets; cards without bf16 with what they have in fp32.
PEAKS = {
    "a100": 312.0, "a40": 149.7, "a6000": 154.8, "h100": 989.0, "h200": 989.0, "l4": 121.0, "l40s": 362.0,
    "rtx3090": 71.0, "rtx4090": 165.2, "t4": 8.1, "v100": 15.7,
}  # fmt: skip
REFERENCE = "a100"
CPU = "cpu"
EFFICIENCY = 0.2  # share of the peak that convolutional segmentation trainings reach; batches are small, layers thin
STEP_OVERHEAD = 0.03  # seconds of a step on a GPU that are not arithmetic: launches, augmentation, losses
CPU_GFLOPS = 12.0  # what one core reaches with the small network
CPU_STEP_OVERHEAD = 0.012
START_SECONDS = 90  # imports, data, networks, compilation, final products
CPU_START_SECONDS = 20
BACKWARD = 3.0  # forward and backward over forward alone

UNKNOWN_SET = (500, 512 * 512)  # images and pixels, where the kind of data set states none


@dataclass(frozen=True)
class Network:
    gflops_per_megapixel: float
    gflops_per_squared_megapixel: float  # of attention among all patches of an image
    million_parameters: float
    counted: bool  # False: this one is not in the table, another stands in

    def gflops(self, megapixels: float) -> float:
        """A forward pass of one image."""
        return (self.gflops_per_megapixel + self.gflops_per_squared_megapixel * megapixels) * megapixels


def network(config: dict[str, Any], head: str = "pixel") -> Network:
    """The counted figures of a network; ResNet-101 with DeepLabV3+ for one that nobody has counted."""
    # timm's and segmentation_models_pytorch's builds of a network differ in names and weights, not in arithmetic.
    encoder = config["encoder"].removeprefix("tu-").split(".")[0]
    key = (config["architecture"], encoder, str(config["output_stride"]), head)
    table = _table()
    wider = (config["width"] / 16) ** 2 if config["architecture"] == "small" else 1.0
    found = table.get(key) or table.get((*key[:2], "16", "pixel"))
    counted = found is not None
    linear, squared, parameters = found or table["deeplab_v3plus", "resnet101", "16", "pixel"]
    return Network(linear * wider, squared, parameters * wider, counted)


@functools.cache
def _table() -> dict[tuple[str, ...], tuple[float, ...]]:
    with TABLE.open() as stream:
        return {
            (row["architecture"], row["encoder"], row["output_stride"], row["head"]):
            tuple(float(row[name]) for name in FIGURES)
            for row in csv.DictReader(stream)
        }  # fmt: skip


def needs_gpu(config: dict[str, Any]) -> bool:
    """The small networks were made for one CPU core; every other one is hopeless there."""
    network = config["recipe"]["network"]
    return not ARCHITECTURES.load(network["architecture"]).for_cpu(network.get("encoder", ""))


def gpus(config: dict[str, Any]) -> int:
    """Devices, and processes, of one training; 0 means a process on the CPU."""
    return config["recipe"]["gpus"] if needs_gpu(config) else 0


def step_gflops(config: dict[str, Any]) -> float:
    """Arithmetic of one step over the global batch."""
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
    if device == CPU or not needs_gpu(config):
        return CPU_STEP_OVERHEAD + step_gflops(config) / CPU_GFLOPS
    return STEP_OVERHEAD + step_gflops(config) / config["recipe"]["gpus"] / rate(device)


def rate(device: str) -> float:
    """GFLOP/s that a training reaches on a device, by assumption."""
    return PEAKS.get(device, PEAKS[REFERENCE]) * 1000 * EFFICIENCY


def evaluation_seconds(config: dict[str, Any], device: str = REFERENCE) -> float:
    """One evaluation of student and teacher on every set that is looked at, by one GPU or core."""
    settings, recipe = config["evaluation"], config["recipe"]
    protocol = settings["protocol"]
    counted = network(recipe["network"], methods.of_run(config).head)

    def gflops(image: float) -> float:
        """Of an image of so many megapixels, at one scale."""
        if protocol["name"] != "sliding":
            return counted.gflops(image)
        window = _megapixels(*protocol["size"])
        return image / (window * protocol["stride"] ** 2) * counted.gflops(window)

    passes = (2 if protocol["flip"] else 1) * (2 if recipe["ema"] else 1)
    total = passes * sum(
        images * gflops(pixels / 1e6 * scale**2)
        for images, pixels in evaluated_sets(config).values()
        for scale in protocol["scales"]
    )
    return total / (rate(device) if needs_gpu(config) and device != CPU else CPU_GFLOPS)


def evaluated_sets(config: dict[str, Any]) -> dict[str, tuple[int, float]]:
    settings = config["evaluation"]
    kind = REGISTRY.load(config["dataset"]["kind"])
    known = {name: (kind.counts[name], height * width) for name, (height, width) in kind.sizes.items()}
    names = {name for name in (settings["evaluated_on"], settings["selected_on"]) if name}
    return {name: known.get(name) or _checked(config["dataset"]["name"], name) or UNKNOWN_SET for name in sorted(names)}


def _checked(dataset: str, subset: str) -> tuple[int, float] | None:
    """What the check of the data set found; None before it."""
    verdict = peek_json(manifest_path(dataset), "verdict") or {}
    found = verdict.get("subsets", {}).get(subset)
    if not found or not found["images"]:
        return None
    sizes = [tuple(map(int, size.split("x"))) for size in found["sizes"] if "x" in size]
    return found["images"], max((width * height for width, height in sizes), default=UNKNOWN_SET[1])


def evaluations(config: dict[str, Any]) -> int:
    return -(-config["recipe"]["iterations"] // config["evaluation"]["every"])


def run_seconds(config: dict[str, Any], device: str = REFERENCE) -> float:
    """From the start of the process to the finished run."""
    steps = config["recipe"]["iterations"] * step_seconds(config, device)
    start = START_SECONDS if needs_gpu(config) and device != CPU else CPU_START_SECONDS
    return start + steps + evaluations(config) * evaluation_seconds(config, device)


def run_bytes(config: dict[str, Any]) -> int:
    """What a finished run leaves: weights of every network in fp32, and its evaluations (compressed)."""
    recipe, method = config["recipe"], methods.of_run(config)
    parameters = network(recipe["network"], method.head).million_parameters * 1e6
    kept = method.networks + (1 if recipe["ema"] else 0)
    images = sum(count for count, _ in evaluated_sets(config).values())
    matrices = images * evaluations(config) * (2 if recipe["ema"] else 1)
    return round(4 * parameters * kept + 60 * matrices + 200_000)


def checkpoint_bytes(config: dict[str, Any]) -> int:
    """A checkpoint while the run is trained: networks, teacher and the optimiser's moments."""
    recipe, method = config["recipe"], methods.of_run(config)
    parameters = network(recipe["network"], method.head).million_parameters * 1e6
    moments = 2 if recipe["optimiser"]["name"] == "adamw" else 1
    return round(4 * parameters * (method.networks * (1 + moments) + (1 if recipe["ema"] else 0)))


def _megapixels(height: int, width: int) -> float:
    return height * width / 1e6
