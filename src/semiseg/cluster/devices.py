"""Counts the GPUs of this machine, and assigns one of them to each training.

Snakemake counts GPUs but does not say which one a job may use. Under Slurm the scheduler assigns
devices; here a file lock per device does. The operating system releases the lock when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, NoReturn

from semiseg.base.errors import UserError

AFFECTS_RESULTS = False
DRIVER = Path("/dev/nvidiactl")  # present wherever the driver is
DOCKER = Path("/.dockerenv")


def visible() -> list[str]:
    """The GPUs that may be used: those that CUDA_VISIBLE_DEVICES names, else all that nvidia-smi lists.

    In a Slurm job only the assigned devices count: without cgroups a job also sees the devices of other jobs.
    """
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    if "SLURM_JOB_ID" in os.environ:
        return []
    if "SEMISEG_GPUS" in os.environ:
        return [str(number) for number in range(int(os.environ["SEMISEG_GPUS"]))]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    lines = listed.stdout.splitlines() if listed.returncode == 0 else []
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in lines))]


def count() -> int:
    return len(visible())


def lease(wanted: int, poll_seconds: float = 1.0) -> list[IO[str]]:
    """Wait for `wanted` free devices and make only them visible; keep the result for as long as they are needed."""
    pool, job = visible(), os.environ.get("SLURM_JOB_ID")
    if job and len(pool) <= wanted:  # a Slurm job: all assigned devices are for this training
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(pool)
        return []
    if wanted == 0:  # a recipe for the CPU: other trainings on this machine may be using every device
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if wanted == 0 or not pool:
        return []
    folder = Path(tempfile.gettempdir()) / f"semiseg-gpus-{os.getuid()}" / (job or "")
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        held = [(name, lock) for name in pool if (lock := _try(folder / f"{name.replace('/', '_')}.lock"))]
        chosen, spare = held[:wanted], held[wanted:]
        for _, lock in held if len(held) < wanted else spare:
            lock.close()
        if len(held) >= wanted:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(name for name, _ in chosen)
            return [lock for _, lock in chosen]
        time.sleep(poll_seconds)


def check_usable(wanted: int) -> None:
    """Raise if torch cannot use the GPU; the training would otherwise run on the CPU, a hundred times as slowly."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted and given and not torch.cuda.is_available() and "SEMISEG_ON_CPU" not in os.environ:
        if in_container() and not DRIVER.exists():
            raise UserError(
                f"GPU {given} is assigned, but this container has no GPU driver; start it with `--nv` (Apptainer) or "
                "`--gpus all` (Docker), or train on the CPU with SEMISEG_ON_CPU=1"
            )
        raise UserError(
            f"GPU {given} is assigned, but torch {torch.__version__} cannot use it; is the driver older than CUDA "
            f"{torch.version.cuda} (docs/cluster.md)? Update the driver, or train on the CPU with SEMISEG_ON_CPU=1"
        )


def in_container() -> bool:
    return any(name in os.environ for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")) or DOCKER.exists()


def in_processes(count: int, held: list[IO[str]]) -> NoReturn:
    """Replace this process by torchrun, which runs this command once per device and keeps the device locks.

    --standalone: all devices are on this node (the rule requests one node), so torchrun assigns the ranks and chooses a
    free port. A port that is computed from the job's number could be in use.
    """
    for lock in held:
        os.set_inheritable(lock.fileno(), True)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    os.execv(sys.executable, [*launcher, "-m", "semiseg", *sys.argv[1:]])


def _try(path: Path) -> IO[str] | None:
    stream = path.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        return None
    return stream
