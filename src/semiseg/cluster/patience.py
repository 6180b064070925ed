"""The Slurm plugin's look after its jobs, mended where a controller that is away for a moment would mislead it."""

from __future__ import annotations

import math
import sys


def remember_min_job_age() -> None:
    """MinJobAge, once known, is not forgotten while the controller is away.

    The plugin asks for it at every look. Without an answer it believes in a cluster that forgets its jobs at once, and
    asks sacct in squeue's place: where nobody keeps accounts that fails as often as slurm/config.yaml allows, a
    thousand times, two seconds each, in which it neither sees what has ended nor hears Ctrl-C.
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
