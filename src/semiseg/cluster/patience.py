"""Fixes how the Slurm plugin reads the states of its jobs, where it would misread them or wait forever."""

from __future__ import annotations

import math
import sys


def remember_min_job_age() -> None:
    """Keep MinJobAge, once known, while the controller does not answer.

    The plugin asks for MinJobAge at every poll. Without an answer it assumes a cluster that forgets jobs at once, and
    calls sacct instead of squeue. Without accounting, sacct fails as often as slurm/config.yaml allows: a thousand
    times, two seconds each. Meanwhile the plugin notices neither finished jobs nor Ctrl-C.
    """
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin is None:
        return
    ask, known = plugin.get_min_job_age, []

    def min_job_age() -> float:
        if not known and (age := ask()) is not None:
            known.append(age)
        return known[0] if known else math.inf  # squeue is repeated until the controller is back

    plugin.get_min_job_age = min_job_age


def fail_preempted_jobs() -> None:
    """For sites without requeue: a preempted job counts as failed, and Snakemake submits it again.

    The plugin leaves preempted jobs to Slurm. If Slurm may not requeue them, the plugin waits for them forever.
    """
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin is None:
        return
    ask = plugin.query_job_status

    async def job_status(*arguments):
        states, seconds = await ask(*arguments)
        if states is not None:
            states = {job: "FAILED" if state == "PREEMPTED" else state for job, state in states.items()}
        return states, seconds

    plugin.query_job_status = job_status
