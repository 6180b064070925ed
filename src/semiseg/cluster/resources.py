"""What a run asks of a scheduler: a function of its recipe, its data set and the site, and of nothing that changes.

Jobs ask the same question again on their nodes, hours later: the answer must be the one that the main process got.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semiseg.cluster import estimate
from semiseg.cluster.site import Site, here

AFFECTS_RESULTS = False

MARGIN = 1.5  # requested minutes divided by estimated minutes
FEWEST_MINUTES = 5
RETRIES = 2  # of a job that fails
MOST_GROWTH = 4  # times its first memory: what a fourth attempt lacks is a mistake in the recipe
WRAPPER_MIB = 400  # Snakemake runs twice beside each training
PROCESS_MIB = 700  # Python, torch and the compiled parts of both
CUDA_MIB = 4000  # the driver's and the libraries' part of the main memory, an estimate
CACHE_MIB = 1500  # room for pages of the mapped store; they can be dropped, so that with less it only reads again
BYTES_PER_PIXEL = 2500  # activations and images of a step in the main memory, where there is no GPU to hold them
SCORED_BYTES_PER_PIXEL = 500  # of an evaluation there, which keeps nothing for a backward pass
READ_BYTES_PER_PIXEL = 4  # an image and its labels as they are read
PINNED = 2  # memory that a GPU can reach is given out in powers of two


@dataclass(frozen=True)
class Resources:
    gpus: int
    cpus: int
    memory_mib: int
    minutes: int  # of one attempt
    attempts: int  # sittings that the training may take, mishaps included
    short: bool  # travels in a group
    partition: str | None
    gpu_model: str | None
    notice: str | None  # the option that makes Slurm tell a training that its time is nearly up

    def memory(self, attempt: int, site: Site | None = None) -> int:
        """More with each attempt, as far as a node has it."""
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
    """Main memory in MiB; a GPU's own memory is not Slurm's to share out."""
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
    """Bytes of the batches on their way to the devices, of all processes together: each reads its part."""
    recipe = config["recipe"]
    images = recipe["batch"]["labelled"] + recipe["batch"]["unlabelled"]
    pixels = images * recipe["crop"][0] * recipe["crop"][1]
    return (runtime["workers"] + 2) * pixels * READ_BYTES_PER_PIXEL * PINNED


def _scored(config: dict[str, Any], bytes_per_pixel: float) -> float:
    """Bytes of one batch of an evaluation: whole images, of the largest set."""
    largest = max((pixels for _, pixels in estimate.evaluated_sets(config).values()), default=0)
    return config["evaluation"]["batch"] * largest * bytes_per_pixel


def _notice(site: Site, minutes: int) -> str | None:
    """Slurm's clock is coarse; a notice that comes before the training has begun would help nobody."""
    seconds = min(site.warning_seconds, minutes * 60 // 2)
    return f"--signal=USR1@{seconds}" if seconds else None
