"""A study of many runs on the throw-away cluster, its trainings replaced by stand-ins of one second.

    python tests/slurm/throwaway.py up FOLDER --accounting
    python tests/slurm/simulate.py FOLDER --runs 500 > results/benchmarks/simulated_study.json

What remains is what the workflow itself costs: submissions, Snakemake's start on the nodes, polls, scoring, tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests import tiny  # noqa: E402
from tests.slurm.throwaway import Cluster  # noqa: E402
from tests.slurm.workspace import Workspace  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=500)
    options = parser.parse_args()
    cluster = Cluster.running()
    if cluster is None or not cluster.accounting:
        sys.exit("start a throw-away Slurm with --accounting first")
    data = options.folder / "data"
    if not (data / "tiny/raw").exists():
        tiny.draw(data / "tiny/raw", {"train": 12, "val": 4, "test": 5})
    template = trained_once(options.folder / "template", data)
    here = Workspace(options.folder / f"study{options.runs}", data, methods=dict.fromkeys(tiny.METHODS, {}))
    describe(here, options.runs)
    here.environment |= {"SEMISEG_STAND_IN": str(template), "SEMISEG_SLURM_GROUP_SIZE": "16"}
    here.environment["PYTHONPATH"] = f"{ROOT / 'tests/slurm/standin'}:{ROOT / 'src'}"
    first, begun = last_job(), time.time()
    code = here.run("tables", seconds=4 * 3600)
    wall = time.time() - begun
    print(json.dumps(figures(here, cluster, options.runs, wall, code, first), indent=1))


def trained_once(folder: Path, data: Path) -> Path:
    """The folder of one real training, whose products the stand-ins copy."""
    if not folder.exists():
        workspace = Workspace(folder, data, methods={"supervised": {}})
        if workspace.run("train_all", profile="local"):
            sys.exit(workspace.log)
    [run] = folder.glob("results/tiny/runs/*/*/*/*/seed0")
    return run


def describe(here: Workspace, runs: int) -> None:
    content = yaml.safe_load((here.folder / "params.yaml").read_text())
    content["suites"]["tiny"]["seeds"] = list(range(runs // len(tiny.METHODS)))
    (here.folder / "params.yaml").write_text(yaml.safe_dump(content))


def last_job() -> int:
    shown = subprocess.run(["sacct", "-X", "-n", "-P", "-o", "jobidraw"], capture_output=True, text=True).stdout.split()
    return max(map(int, shown), default=0)


def figures(here: Workspace, cluster: Cluster, runs: int, wall: float, code: int, first: int) -> dict[str, object]:
    format = "jobidraw,elapsedraw,state"
    shown = subprocess.run(["sacct", "-X", "-n", "-P", "-o", format], capture_output=True, text=True, check=True).stdout
    jobs = [line.split("|") for line in shown.splitlines() if int(line.split("|")[0]) > first]
    seconds = [int(elapsed) for _, elapsed, _ in jobs]
    finished = len(here.runs)
    parts = {name: list((here.folder / name).rglob("*")) for name in ("results", "logs", ".snakemake")}
    return {
        "benchmark": "simulated study: trainings are stand-ins of 1 s that write true records",
        "runs": runs,
        "finished": finished,
        "exit_code": code,
        "slurm_jobs": len(jobs),
        "nodes": cluster.nodes,
        "wall_seconds": round(wall),
        "runs_per_minute": round(60 * finished / wall, 1),
        "job_seconds_per_run": round(sum(seconds) / max(finished, 1), 2),
        "overhead_seconds_per_run": round(sum(seconds) / max(finished, 1) - 1, 2),
        # Folders are inodes, too.
        "inodes_per_run": {name: round(len(paths) / runs, 1) for name, paths in parts.items()},
        "bytes_per_run": round(
            sum(path.stat().st_size for paths in parts.values() for path in paths if path.is_file()) / runs
        ),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
    }


if __name__ == "__main__":
    main()
