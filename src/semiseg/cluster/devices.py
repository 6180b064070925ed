"""GPUs of this machine: how many there are, and one of them for each training.

Snakemake counts GPUs but does not say which one a job may use. Under Slurm the scheduler says it; here a lock per
device does, which the system gives back when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

AFFECTS_RESULTS = False


def count() -> int:
    """Number of GPUs: SEMISEG_GPUS, else what nvidia-smi lists."""
    if "SEMISEG_GPUS" in os.environ:
        return int(os.environ["SEMISEG_GPUS"])
    if not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def lease(wanted: int, poll_seconds: float = 1.0) -> list[IO[str]]:
    """Wait for `wanted` free devices and make only them visible; keep the result for as long as they are needed."""
    if wanted == 0 or "CUDA_VISIBLE_DEVICES" in os.environ or count() == 0:
        return []
    folder = Path(tempfile.gettempdir()) / f"semiseg-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        held = [lock for lock in (_try(folder / f"gpu{device}.lock") for device in range(count())) if lock]
        if len(held) >= wanted:
            for spare in held[wanted:]:
                spare.close()
            names = [Path(lock.name).stem.removeprefix("gpu") for lock in held[:wanted]]
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
            return held[:wanted]
        for lock in held:
            lock.close()
        time.sleep(poll_seconds)


def _try(path: Path) -> IO[str] | None:
    stream = path.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        return None
    return stream
