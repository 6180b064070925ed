"""Reads the jobs of this folder from Slurm's queue, with one query."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

AFFECTS_RESULTS = False

RULES = ("train", "train_short")
MEMBER = re.compile(rf"'(?:{'|'.join(RULES)}):([^']*)'")  # how Snakemake names the trainings of a job
NEXT = re.compile(r",(?=(?:dataset|split|method|variant|seed)=)")  # between two wildcards; values may hold commas
FORMAT = "%i|%T|%N|%r|%Z|%k"  # job, state, nodes, reason, folder, comment (last: it may hold anything)


@dataclass(frozen=True)
class Job:
    number: str
    state: str
    node: str
    reason: str
    comment: str  # comments of Snakemake's jobs: rule_NAME_wildcards_VALUES; for a group only rule_NAME

    @property
    def waits(self) -> bool:
        return self.state in ("PENDING", "REQUEUED", "SUSPENDED", "CONFIGURING", "REQUEUE_HOLD")


def jobs(folder: Path | None = None) -> list[Job] | None:
    """This user's jobs that were submitted from this folder; None if Slurm is missing or does not answer."""
    if not shutil.which("squeue"):
        return None
    command = ["squeue", "-h", "-u", getpass.getuser(), "-o", FORMAT]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return None
    here = os.fspath((folder or Path()).resolve())
    found = []
    for line in answer.stdout.splitlines():
        number, state, node, reason, directory, comment = line.split("|", 5)
        if directory == here:
            found.append(Job(number, state, node, reason, comment))
    return found


def trainings(found: list[Job], waiting: bool) -> set[str]:
    """The trainings (values of the wildcards) of the waiting jobs, or of the running jobs."""
    chosen = [job for job in found if job.waits == waiting]
    named = {job.comment.partition("_wildcards_")[2] for job in chosen}
    return (named | _members([job.number for job in chosen if "_wildcards_" not in job.comment])) - {""}


def _members(numbers: list[str]) -> set[str]:
    """The trainings of grouped jobs. Only the job scripts name them; one call of scontrol reads all scripts."""
    if not numbers or not shutil.which("scontrol"):
        return set()
    asked = "".join(f"write batch_script {number} -\n" for number in numbers)
    try:
        answer = subprocess.run(["scontrol"], input=asked, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    members = (wildcards(found) for found in MEMBER.findall(answer.stdout))
    return {"_".join(values.values()).replace("/", "_") for values in members}


def wildcards(text: str) -> dict[str, str]:
    """Of `dataset=voc,…,variant="a=1,b=2",seed=0`."""
    pairs = (part.partition("=") for part in NEXT.split(text))
    return {key: value.strip('"') for key, _, value in pairs}


def summary(found: list[Job]) -> str:
    waiting = [job for job in found if job.waits]
    text = f"{len(found) - len(waiting)} jobs run, {len(waiting)} wait"
    reasons = sorted({job.reason for job in waiting} - {"None", "Priority", "Resources"})
    return text + (f" ({', '.join(reasons)})" if reasons else "")
