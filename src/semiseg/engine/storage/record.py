"""record.json: provenance and cost of a result. The report shows them, but they are not part of the spec."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from semiseg.base.files import sha256_file
from semiseg.hardware import distributed
from semiseg.hardware.device import describe

AFFECTS_RESULTS = False

PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "safetensors",
    "segmentation-models-pytorch",
    "timm",
    "torch",
    "torchvision",
)
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes on a Mac, KiB on Linux


class Costs:
    """Seconds, memory and energy, summed over all sessions of a run.

    All processes of a run do the same work: times are those of the first one, multiplied by their number; memory is
    that of one process.
    """

    def __init__(self, device: torch.device, earlier: dict[str, Any] | None = None) -> None:
        self.device = device
        self.earlier = earlier or {}
        self.started = self.earlier.get("started") or now()
        self.wall, self.cpu = time.monotonic(), time.process_time()
        self.joules = _energy_counter(device)

    def so_far(self) -> dict[str, Any]:
        wall, processes = time.monotonic() - self.wall, distributed.world()
        on_gpu = self.device.type == "cuda"
        joules = _energy_counter(self.device)
        used = None if joules is None or self.joules is None else processes * (joules - self.joules)
        this_sitting = {
            "wall_seconds": wall,
            "cpu_seconds": processes * (time.process_time() - self.cpu),
            "gpu_seconds": processes * wall if on_gpu else 0.0,
        }
        total = {key: value + self.earlier.get(key, 0.0) for key, value in this_sitting.items()}
        total["started"] = self.started
        peak = torch.cuda.max_memory_allocated(self.device) if on_gpu else resident_peak()
        total["peak_memory_mib"] = max(peak / 2**20, self.earlier.get("peak_memory_mib", 0.0))
        total["energy_joules"] = None if used is None else used + (self.earlier.get("energy_joules") or 0.0)
        return total


def resident_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def _energy_counter(device: torch.device) -> float | None:
    """Joules that the GPU has used since its driver was loaded; None if the GPU does not count them."""
    if device.type != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except Exception:  # missing library, missing permission, old card: each has another error; all mean "unknown"
        return None


def provenance(folder: Path, seed: int, hashes: dict[str, Any]) -> dict[str, Any]:
    """The entries of the record that are known before the first step."""
    config = folder / "config.yaml"
    if config.exists():
        hashes = hashes | {"config": sha256_file(config)}
    return {
        "command": f"semiseg train {folder}",
        "git": _git(),
        "hardware": describe(),
        "hashes": hashes,
        "seed": seed,
        "slurm": {key: os.environ[key] for key in ("SLURM_JOB_ID", "SLURMD_NODENAME") if key in os.environ},
        "versions": {"python": sys.version.split()[0], **{name: _version(name) for name in PACKAGES}},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any]:
    def ask(*command: str) -> str | None:
        try:
            return subprocess.run(
                ["git", *command], capture_output=True, text=True, check=True, timeout=20
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    status = ask("status", "--porcelain", "--untracked-files=no")
    return {"commit": ask("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
