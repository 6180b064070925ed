"""How many jobs per second Snakemake's plugin hands to Slurm, one by one and as arrays.

    python tests/slurm/throwaway.py up FOLDER --accounting
    python tests/slurm/measure_submissions.py FOLDER --jobs 1000 > results/benchmarks/submissions.json

The partition is down meanwhile: jobs are accepted and none is started, so that nothing but the submission is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.slurm.throwaway import Cluster  # noqa: E402

SNAKEFILE = """
from semiseg.cluster import mends
mends.mend_arrays()
rule all:
    input: expand("done/{{number}}", number=range({jobs}))
rule dummy:
    output: "done/{{number}}"
    resources: mem_mb=100, runtime=1
    shell: "touch {{output}}"
"""
OPTIONS = ("--executor", "slurm", "--default-resources", "slurm_account=research", "--max-jobs-per-second", "1000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=1000)
    options = parser.parse_args()
    if Cluster.running() is None:
        sys.exit("start a throw-away Slurm first")
    partition("DOWN")
    try:
        single = measured(options.folder / "single", options.jobs)
        arrays = measured(options.folder / "arrays", options.jobs, "--slurm-array-jobs", "dummy")
    finally:
        partition("UP")
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    print(json.dumps({"single": single, "arrays": arrays, "machine": machine}, indent=1))


def partition(state: str) -> None:
    subprocess.run(["scontrol", "update", "PartitionName=main", f"State={state}"], check=True)


def measured(folder: Path, jobs: int, *more: str) -> dict[str, Any]:
    """From the moment when the plan stands until all jobs are in the queue; the CPU seconds count sbatch."""
    folder.mkdir(parents=True)
    (folder / "Snakefile").write_text(SNAKEFILE.format(jobs=jobs))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["snakemake", *OPTIONS, "--jobs", str(jobs), *more]
    with (folder / "log").open("w") as log:
        driver = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    begun, queued = None, 0
    while queued < jobs:
        if driver.poll() is not None:
            sys.exit((folder / "log").read_text())
        time.sleep(0.1 if begun is None else 1)
        if begun is None:
            begun = time.monotonic() if "Execute " in (folder / "log").read_text() else None
            continue
        shown = subprocess.run(["squeue", "-h", "-r", "-o", "%i"], capture_output=True, text=True)
        queued = len(shown.stdout.split())
    seconds = time.monotonic() - begun
    driver.send_signal(signal.SIGINT)
    driver.wait()
    subprocess.run(["scancel", "-p", "main"], check=True)
    while subprocess.run(["squeue", "-h"], capture_output=True).stdout:
        time.sleep(0.5)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {"seconds": round(seconds, 1), "per_second": round(jobs / seconds, 1), "cpu_seconds": round(used)}
    return {"jobs": jobs} | figures


if __name__ == "__main__":
    main()
