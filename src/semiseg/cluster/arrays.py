"""Fixes job arrays of the Slurm plugin: without this some trainings are never submitted, others request too little.

The plugin (2.8) forgets a batch of jobs that is smaller than the number of ready jobs (its issue 473), and gives
all jobs of an array the resources of the first.
"""

from __future__ import annotations

import sys
from typing import Any

AFFECTS_RESULTS = False


def mend() -> None:
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin is None:
        return
    plugin.pending_jobs_for_rule = lambda dag, rule: 0  # submit all ready jobs at once
    send = plugin.Executor._submit_array_jobs

    def in_parts(executor: Any, jobs: list[Any]) -> None:
        for part in alike(jobs):
            if len(part) > 1:
                send(executor, part)
            else:
                executor._submit_job(part[0])

    plugin.Executor._submit_array_jobs = in_parts


def alike(jobs: list[Any]) -> list[list[Any]]:
    """Group the jobs that request the same resources."""
    parts: dict[Any, list[Any]] = {}
    for job in jobs:
        asked = (job.threads, *sorted((name, str(value)) for name, value in job.resources.items()))
        parts.setdefault(asked, []).append(job)
    return list(parts.values())
