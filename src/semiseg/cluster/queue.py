"""The jobs of this folder in Slurm's queue, by one question."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

AFFECTS_RESULTS = False

FORMAT = "%i|%T|%N|%r|%Z|%k"  # job, state, nodes, reason, folder, comment (last: it may hold anything)


@dataclass(frozen=True)
class Job:
    number: str
    state: str
    node: str
    reason: str
    comment: str  # of Snakemake's jobs: rule_NAME_wildcards_VALUES, and for groups their name

    @property
    def waits(self) -> bool:
        return self.state in ("PENDING", "REQUEUED", "SUSPENDED", "CONFIGURING", "REQUEUE_HOLD")


def jobs(folder: Path | None = None) -> list[Job] | None:
    """This user's jobs that were sent from this folder; None where there is no Slurm or it does not answer."""
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


def summary(found: list[Job]) -> str:
    waiting = [job for job in found if job.waits]
    text = f"{len(found) - len(waiting)} jobs run, {len(waiting)} wait"
    reasons = sorted({job.reason for job in waiting} - {"None", "Priority", "Resources"})
    return text + (f" ({', '.join(reasons)})" if reasons else "")
