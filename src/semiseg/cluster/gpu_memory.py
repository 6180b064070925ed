"""Estimates the GPU memory of a training before it has run: counted activations, and the weights.

The activations of each network were counted once on a pretended GPU, under bf16 autocast and without compilation
(scripts/count_memory.py). All passes of a step that are trained are alive together, because one backward pass goes
through the sum of their losses. Not counted: CUDA's own part (half a GiB), cuDNN's workspaces, and gaps between blocks.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.cluster import estimate

AFFECTS_RESULTS = False

TABLE = Path(__file__).with_name("memory.csv")  # made by scripts/count_memory.py
COLUMNS = ("architecture", "encoder", "output_stride", "head", "bytes_per_pixel")


def mib(config: dict[str, Any]) -> float | None:
    """MiB of each GPU at the peak of a step; None for a network that was not counted."""
    recipe, method = config["recipe"], methods.of_run(config)
    found = _table().get(estimate.key(recipe["network"], method.head))
    if found is None:
        return None
    labelled, unlabelled = recipe["batch"]["labelled"], recipe["batch"]["unlabelled"]
    images = method.passes.labelled * labelled + method.passes.unlabelled * unlabelled
    at_once = images / recipe["optimiser"]["accumulate"] / max(recipe["gpus"], 1)
    activations = method.networks * at_once * recipe["crop"][0] * recipe["crop"][1] * found
    parameters = 1e6 * estimate.network(recipe["network"], method.head).million_parameters
    moments = 2 if recipe["optimiser"]["name"] == "adamw" else 1
    kept = 4 * parameters * (method.networks * (1 + moments) + (1 if recipe["ema"] else 0))
    return (activations + kept) / 2**20


@functools.cache
def _table() -> dict[tuple[str, ...], float]:
    with TABLE.open() as stream:
        return {tuple(row[name] for name in COLUMNS[:4]): float(row[COLUMNS[4]]) for row in csv.DictReader(stream)}
