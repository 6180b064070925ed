"""What a run asks of a scheduler, from its recipe: GPUs, CPUs, memory and minutes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

SMALL_STEP_SECONDS = 0.06  # the small network on one CPU core, semi-supervised step of 8 + 8 images of 64x64
GPU_STEP_SECONDS = 0.4  # a generous step of a ResNet-101 recipe on one GPU


@dataclass(frozen=True)
class Resources:
    gpus: int
    cpus: int
    memory_mib: int
    minutes: int

    def launcher(self, python: str) -> str:
        """How the training is started: alone, or by torchrun with the ports and ranks that Slurm gave it."""
        if self.gpus < 2:
            return f"{shlex.quote(python)} -m semiseg"
        return f"{shlex.quote(python)} -m torch.distributed.run --standalone --nproc-per-node={self.gpus} -m semiseg"


def of(config: dict[str, Any], runtime: dict[str, Any]) -> Resources:
    recipe = config["recipe"]
    on_cpu = recipe["network"]["architecture"] == "small"
    seconds = recipe["iterations"] * (SMALL_STEP_SECONDS if on_cpu else GPU_STEP_SECONDS)
    return Resources(
        gpus=0 if on_cpu else recipe["gpus"],
        cpus=1 if on_cpu else max(runtime["workers"], 1) * recipe["gpus"],
        memory_mib=1500 if on_cpu else 16000 * recipe["gpus"],
        minutes=5 + round(1.5 * seconds / 60),
    )
