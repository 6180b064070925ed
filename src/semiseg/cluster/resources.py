"""The resources that a run requests from a scheduler: a function of recipe, data set and site alone.

Jobs compute them again on their nodes, hours later, and must get the same result as the main process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semiseg.cluster import estimate
from semiseg.cluster.site import Site, here

AFFECTS_RESULTS = False

MARGIN = 1.5  # requested minutes divided by estimated minutes
FEWEST_MINUTES = 5
RETRIES = 2  # retries of a failed job
MOST_GROWTH = 4  # limit, in multiples of the first request: if this is not enough, the recipe is wrong
WRAPPER_MIB = 400  # MiB of the two Snakemake processes beside each training
PROCESS_MIB = 700  # Python, torch and the compiled parts of both
CUDA_MIB = 4000  # main memory of the GPU driver and libraries, an estimate
CACHE_MIB = 1500  # memory for pages of the mapped store; with less memory, pages are read again
BYTES_PER_PIXEL = 2500  # without a GPU: activations and images of a step in main memory
SCORED_BYTES_PER_PIXEL = 500  # the same for an evaluation, which keeps nothing for a backward pass
READ_BYTES_PER_PIXEL = 4  # an image and its labels when they are read
PINNED = 2  # pinned memory is allocated in powers of two


@dataclass(frozen=True)
class Resources:
    gpus: int
    cpus: int
    memory_mib: int
    minutes: int  # of the first attempt
    attempts: int  # number of jobs that the training may take, failures included
    short: bool  # shares a job with other trainings
    partition: str | None
    gpu_model: str | None
    notice: str | None  # the option that makes Slurm send a signal before the time limit

    def memory(self, attempt: int, site: Site | None = None) -> int:
        """MiB for this attempt: more with each attempt, up to the memory of a node."""
        most = (site or here()).max_memory_mib or self.memory_mib * MOST_GROWTH
        return max(self.memory_mib, min(self.memory_mib * min(attempt, MOST_GROWTH), most))


def of(config: dict[str, Any], runtime: dict[str, Any], site: Site | None = None) -> Resources:
    site = site or here()
    gpus = estimate.gpus(config)
    estimated = MARGIN * site.time_factor * estimate.run_seconds(config) / 60
    short = estimated <= runtime["short_minutes"] and gpus < 2
    # A whole group must fit within the partition's limit; trainings that do not finish continue in the next job.
    limit = site.max_minutes and (max(1, site.max_minutes // site.group_size) if short else site.max_minutes)
    needed = max(FEWEST_MINUTES, round(estimated + site.warning_seconds / 60))
    minutes = min(needed, limit) if limit else needed
    threads = site.cpus_per_gpu or runtime["workers"] + 1
    return Resources(
        gpus=gpus,
        cpus=max(gpus, 1) * threads if gpus else 1,
        memory_mib=main_memory(config, runtime, gpus, site),
        minutes=minutes,
        attempts=-(-needed // minutes) + RETRIES,
        short=short,
        partition=(site.partition if gpus else site.cpu_partition or site.partition),
        gpu_model=site.gpu_model if gpus else None,
        notice=_notice(site, minutes),
    )


def main_memory(config: dict[str, Any], runtime: dict[str, Any], gpus: int, site: Site) -> int:
    """Main memory in MiB; Slurm does not manage the memory of GPUs."""
    needed = WRAPPER_MIB + max(gpus, 1) * PROCESS_MIB
    if gpus:
        # Networks are built and checkpoints are loaded here before they go to the device, by every process.
        needed += CACHE_MIB + gpus * (CUDA_MIB + 2 * estimate.checkpoint_bytes(config) / 2**20)
        needed += (_read_ahead(config, runtime) + gpus * _scored(config, READ_BYTES_PER_PIXEL * PINNED)) / 2**20
    else:
        recipe = config["recipe"]
        wider = recipe["network"]["width"] / 16
        images = recipe["batch"]["labelled"] + 3 * recipe["batch"]["unlabelled"]
        step = images * recipe["crop"][0] * recipe["crop"][1] * BYTES_PER_PIXEL
        needed += wider * max(step, _scored(config, SCORED_BYTES_PER_PIXEL)) / 2**20
    return -(-round(needed * site.memory_factor) // 100) * 100


def _read_ahead(config: dict[str, Any], runtime: dict[str, Any]) -> float:
    """Bytes of the batches that wait for the devices, over all processes; each process reads its part."""
    recipe = config["recipe"]
    images = recipe["batch"]["labelled"] + recipe["batch"]["unlabelled"]
    pixels = images * recipe["crop"][0] * recipe["crop"][1]
    return (runtime["workers"] + 2) * pixels * READ_BYTES_PER_PIXEL * PINNED


def _scored(config: dict[str, Any], bytes_per_pixel: float) -> float:
    """Bytes of one evaluation batch: whole images of the largest set."""
    largest = max((pixels for _, pixels in estimate.evaluated_sets(config).values()), default=0)
    return config["evaluation"]["batch"] * largest * bytes_per_pixel


def _notice(site: Site, minutes: int) -> str | None:
    """Seconds before the time limit when Slurm sends the signal.

    Slurm's clock is coarse, and the training must have begun.
    """
    seconds = min(site.warning_seconds, minutes * 60 // 2)
    return f"--signal=USR1@{seconds}" if seconds else None
