"""What the driver itself costs over studies of many runs: a plan of runs that nobody trains, and a no-op.

python tests/workflow/measure_driver.py --runs 1000 5000 --out results/benchmarks
python tests/workflow/measure_driver.py --runs 1000 --finished --out results/benchmarks

With --finished all runs are copies of one training, with their own specs, records and scores, and the command is
`snakemake --profile local train_all evaluate_all`, which has nothing to do.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import yaml

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
    parser.add_argument("--finished", action="store_true", help="measure a no-op over finished runs")
    parser.add_argument("--out", type=Path, help="folder for a CSV file named after the hardware")
    options = parser.parse_args()
    measure = measured_finished if options.finished else measured
    outcome = timing.result("driver", [measure(runs, options.times) for runs in options.runs])
    outcome["clock"] = "CPU time of the process and its children"
    print(timing.table(outcome))
    if options.out:
        print(f"written: {timing.write_csv(outcome, options.out)}")


def measured(runs: int, times: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = tiny.with_workflow(tiny.workspace(Path(folder) / "study", study(runs)), ROOT)
        dry_run(root)  # compiles modules, warms the page cache
        said, seconds, peaks = zip(*(dry_run(root) for _ in range(times)), strict=True)
    jobs = int(re.findall(r"^total +(\d+)", said[0], re.MULTILINE)[-1])
    return timing.row(f"{runs} runs", "snakemake -n", seconds, 1, jobs=jobs, peak_mib=max(peaks))


def measured_finished(runs: int, times: int) -> dict[str, Any]:
    """The first call looks at the scores and writes the stages' files; the next ones have nothing to do."""
    with tempfile.TemporaryDirectory() as folder:
        root = tiny.with_workflow(tiny.workspace(Path(folder) / "study", study(1, ("supervised",))), ROOT)
        no_op = ("--profile", "local", "--cores", "1", "train_all", "evaluate_all")
        called(root, *no_op)
        (root / "params.yaml").write_text(yaml.safe_dump(study(runs), sort_keys=False))
        with chdir(root):
            copy_to_all_runs()
        called(root, *no_op)
        said, seconds, peaks = zip(*(called(root, *no_op) for _ in range(times)), strict=True)
    if any("Nothing to be done" not in one for one in said):
        sys.exit(f"there was something to be done:\n{said[0]}")
    return timing.row(f"{runs} finished runs", "snakemake, no-op", seconds, 1, peak_mib=max(peaks))


def copy_to_all_runs() -> None:
    """Every planned run of the study in the present folder becomes a copy of the one that is finished."""
    from semiseg.base.files import write_json
    from semiseg.datasets.preparing import data_sha256
    from semiseg.runs import spec
    from semiseg.runs.run_folder import PRODUCTS, RunFolder
    from semiseg.splits.split_files import read_split
    from semiseg.study.study import Study

    study = Study.load()
    [template] = [path.parent for path in study.folder.glob("runs/**/spec.json")]
    for run in study.plan.runs:
        if run.path == template:
            continue
        folder = RunFolder(run.path)
        folder.path.mkdir(parents=True)
        for name in (*PRODUCTS, "config.yaml"):
            if (template / name).exists() and not (folder / name).exists():
                shutil.copy(template / name, folder / name)
        wanted = spec.make_spec(run.config, data_sha256("tiny"), read_split(study.specs.split_file(run)).sha256)
        digest = spec.spec_sha256(wanted)
        known = {"spec_sha256": digest, "seed": run.seed, "products": folder.products()}
        write_json(folder / "record.json", RunFolder(template).record | known)
        folder.finish(wanted, digest)


def study(runs: int, methods: Sequence[str] = tiny.METHODS) -> dict[str, Any]:
    at = {"splits": {"partitions": [4]}, "seeds": list(range(runs // len(methods)))}
    return tiny.params(dict.fromkeys(methods, {}), **at)


def dry_run(root: Path) -> tuple[str, float, int]:
    return called(root, "-n", "--profile", "slurm", "--quiet", "rules", "all")


def called(root: Path, *arguments: str) -> tuple[str, float, int]:
    """What it says, and the CPU seconds and MiB that this took."""
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    command = (sys.executable, "-c", MEASURE, snakemake, *arguments)
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    seconds, kib = done.stdout.splitlines()[-1].split()
    return done.stdout, float(seconds), int(kib) // 1024


if __name__ == "__main__":
    main()
