"""What a run asks of a scheduler: a function of its recipe, its data set and the site, and of nothing that changes.

Jobs ask the same question again on their nodes, hours later: the answer must be the one that the main process got.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semiseg.cluster import estimate
from semiseg.cluster.site import Site, here

AFFECTS_RESULTS = False

MARGIN = 1.5  # minutes asked for over minutes estimated
FEWEST_MINUTES = 5
RETRIES = 2  # of a job that fails
MOST_GROWTH = 4  # times its first memory: what a fourth attempt lacks is a mistake in the recipe
WRAPPER_MIB = 400  # Snakemake runs twice beside each training
PROCESS_MIB = 700  # Python, torch and the compiled parts of both
CUDA_MIB = 4000  # driver, libraries and pinned buffers
BYTES_PER_PIXEL = 2500  # activations and images of a step in the main memory, where there is no GPU to hold them
READ_AHEAD_MIB = 1500  # decoded images that a reading thread holds


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
    # A whole group has to fit under the partition's limit; what does not fit goes on in the next sitting.
    limit = site.max_minutes and (max(1, site.max_minutes // site.group_size) if short else site.max_minutes)
    needed = max(FEWEST_MINUTES, round(estimated + site.warning_seconds / 60))
    minutes = min(needed, limit) if limit else needed
    threads = site.cpus_per_gpu or runtime["workers"] + 1
    return Resources(
        gpus=gpus,
        cpus=max(gpus, 1) * threads if gpus else 1,
        memory_mib=_memory(config, runtime, gpus, site),
        minutes=minutes,
        attempts=-(-needed // minutes) + RETRIES,
        short=short,
        partition=(site.partition if gpus else site.cpu_partition or site.partition),
        gpu_model=site.gpu_model if gpus else None,
        notice=_notice(site, minutes),
    )


def _memory(config: dict[str, Any], runtime: dict[str, Any], gpus: int, site: Site) -> int:
    """Main memory in MiB; a GPU's own memory is not Slurm's to share out."""
    if gpus:
        process = PROCESS_MIB + CUDA_MIB + READ_AHEAD_MIB * (runtime["workers"] + 1)
        needed = WRAPPER_MIB + gpus * process
    else:
        recipe = config["recipe"]
        images = max(recipe["batch"]["labelled"] + 3 * recipe["batch"]["unlabelled"], 2 * config["evaluation"]["batch"])
        height, width = recipe["crop"]
        wider = recipe["network"]["width"] / 16
        needed = WRAPPER_MIB + PROCESS_MIB + images * height * width * wider * BYTES_PER_PIXEL / 2**20
    return -(-round(needed * site.memory_factor) // 100) * 100


def _notice(site: Site, minutes: int) -> str | None:
    """Slurm's clock is coarse; a notice that comes before the training has begun would help nobody."""
    seconds = min(site.warning_seconds, minutes * 60 // 2)
    return f"--signal=USR1@{seconds}" if seconds else None
