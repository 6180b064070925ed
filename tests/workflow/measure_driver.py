"""What the driver itself costs: `snakemake -n --profile slurm all` over studies of many runs that nobody trains.

python tests/workflow/measure_driver.py --runs 1000 5000 --out results/benchmarks
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from semiseg.bench import timing  # noqa: E402
from tests import tiny  # noqa: E402

# In a small process of its own: Linux counts the memory of whoever starts a process as that process's.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stderr=subprocess.STDOUT)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for a CSV file named after the hardware")
    options = parser.parse_args()
    outcome = timing.result("driver", [measured(runs, options.times) for runs in options.runs])
    outcome["clock"] = "CPU time of the process and its children"
    print(timing.table(outcome))
    if options.out:
        print(f"written: {timing.write_csv(outcome, options.out)}")


def measured(runs: int, times: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = tiny.with_workflow(tiny.workspace(Path(folder) / "study", study(runs)), ROOT)
        dry_run(root)  # compiles modules, warms the page cache
        jobs, seconds, peaks = zip(*(dry_run(root) for _ in range(times)), strict=True)
    return timing.row(f"{runs} runs", "snakemake -n", seconds, 1, jobs=jobs[0], peak_mib=max(peaks))


def study(runs: int) -> dict[str, Any]:
    at = {"splits": {"partitions": [4]}, "seeds": list(range(runs // len(tiny.METHODS)))}
    return tiny.params(dict.fromkeys(tiny.METHODS, {}), **at)


def dry_run(root: Path) -> tuple[int, float, int]:
    """How many jobs it announces, and the CPU seconds and MiB that this took."""
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    measured = (sys.executable, "-c", MEASURE, snakemake, "-n", "--profile", "slurm", "--quiet", "rules", "all")
    done = subprocess.run(measured, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    seconds, kib = done.stdout.splitlines()[-1].split()
    return int(re.findall(r"^total +(\d+)", done.stdout, re.MULTILINE)[-1]), float(seconds), int(kib) // 1024


if __name__ == "__main__":
    main()
