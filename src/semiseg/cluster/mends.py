"""Fixes of Snakemake and its Slurm plugin: without them some trainings are never submitted, others are the wrong ones.

- The plugin (2.8) forgets a batch of jobs that is smaller than the number of ready jobs (its issue 473), and gives
  all jobs of an array the resources of the first.
- Snakemake (9) tells a job its training as `train:dataset=voc,…,variant="a=1,b=2",seed=0`, and the job splits this text
  at every comma, also within quotes. It would train another variant, or none.
"""

from __future__ import annotations

import sys
from typing import Any

from semiseg.cluster import queue

AFFECTS_RESULTS = False


def mend_arrays() -> None:
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


def mend_names() -> None:
    """In a job: put the parts of each wildcard together again before Snakemake looks for the run."""
    from snakemake.dag import DAG

    begin = DAG.init

    async def init(self: Any, *args: Any, **named: Any) -> Any:
        for job in self.workflow.dag_settings.target_jobs:
            if job.rulename in queue.RULES:
                whole = queue.wildcards(",".join(f"{key}={value}" for key, value in job.wildcards_dict.items()))
                job.wildcards_dict.clear()
                job.wildcards_dict.update(whole)
        return await begin(self, *args, **named)

    DAG.init = init
