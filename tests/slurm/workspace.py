"""A copy of the workflow in a separate folder with a tiny suite, and functions to observe and disturb it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from semiseg.cluster import resources
from semiseg.cluster import site as sites
from semiseg.params.schema import Params
from semiseg.study import grid
from tests import tiny

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
COMMA = {"lambda_consistency": 0.5, "recipe.batch_norm": "separate"}  # a variant with a comma in its name
SUITE: dict[str, Any] = {
    "splits": {"partitions": [4]},
    "evaluation": {"every": 12, "lastk": 1},
    "runtime": {"checkpoint_every": 4},
    "methods": {"supervised": {}, "fixmatch": {}, "mean_teacher": {"variants": [COMMA]}},
}
WHOLE = [*range(12)]  # the steps of a training
LONG = {"runtime": {"checkpoint_every": 4, "short_minutes": 0}}  # every training a job of its own
# A network that asks for a GPU, and is small enough for the CPU that stands in for it here.
WITH_GPU = {"network": {"architecture": "fpn", "encoder": "resnet18"}}
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "SEMISEG_ON_CPU": "1",  # the cluster's GPUs are made up
    "SEMISEG_SLURM_FIRST_POLL_SECONDS": "1",
    "SEMISEG_SLURM_WARNING_SECONDS": "20",
    "SEMISEG_SLURM_GROUP_SIZE": "4",
    "SEMISEG_SLURM_MAX_MEMORY_MIB": "15000",
}


def of_runs(results: dict[str, str], *methods: str) -> dict[str, str]:
    """Of all results the products of these methods' runs."""
    return {path: digest for path, digest in results.items() if any(f"/{method}/" in path for method in methods)}


class Workspace:
    def __init__(self, folder: Path, data: Path, **changes: Any) -> None:
        self.folder, self.started = folder, []
        folder.mkdir(parents=True)
        tiny.with_workflow(folder, ROOT)
        (folder / "slurm/site.yaml").unlink(missing_ok=True)
        (folder / "data").symlink_to(data)
        self.trouble()
        self.describe(**changes)
        self.environment = dict(os.environ, **ENVIRONMENT)
        self.environment |= {"PYTHONPATH": f"{HERE / 'hook'}:{ROOT / 'src'}", "SEMISEG_TEST_FOLDER": str(folder)}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # so many short processes would compile for minutes
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    # ---------------------------------------------------------------- what is wanted, and what goes wrong

    def describe(self, **changes: Any) -> None:
        """Write params.yaml: the tiny suite with these changes."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(tiny.params(**{**SUITE, **changes})))

    def trouble(self, **wanted: Any) -> None:
        """What happens to trainings from now on (hook/sitecustomize.py); nothing without arguments."""
        new = self.folder / "trouble.json.new"
        new.write_text(json.dumps(wanted))
        new.replace(self.folder / "trouble.json")

    def planned(self) -> dict[str, resources.Resources]:
        """What each training asks for by its recipe, its data set and the site, by Slurm's comment."""
        params = Params.model_validate(yaml.safe_load((self.folder / "params.yaml").read_text()))
        site = sites.load(self.folder / "slurm/site.yaml", self.environment)
        runtime = params.suites["tiny"].runtime.model_dump()
        return {
            f"{run.dataset}_{run.split}_{run.method}_{run.variant}_{run.seed}": resources.of(run.config, runtime, site)
            for run in grid.plan(params, "tiny").runs
        }

    # ---------------------------------------------------------------- snakemake

    def start(self, *arguments: str, profile: str = "slurm") -> subprocess.Popen[str]:
        log = (self.folder / "snakemake.log").open("a")
        command = ["snakemake", "--profile", profile, *(arguments or ("tables",))]
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, text=True, start_new_session=True
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, profile: str = "slurm", seconds: float = 900) -> int:
        return self.wait(self.start(*arguments, profile=profile), seconds)

    def command(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Another command, as a user types it in this folder."""
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def wait(self, process: subprocess.Popen[str], seconds: float = 900) -> int:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"snakemake hangs; its log ends with\n{self.log[-4000:]}") from None

    def stop(self) -> None:
        """End all processes after a failed test."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "snakemake.log").read_text() + tiny.snakemake_log(self.folder)

    # ---------------------------------------------------------------- what has happened

    @property
    def diary(self) -> list[tuple[str, int, str, str, str]]:
        """Every step of every training: run, iteration, Slurm job, node, visible devices."""
        path = self.folder / "diary.txt"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(run, int(step), job, node, devices) for run, step, job, node, devices, _ in lines]

    def said(self, part: str = "") -> str:
        """What the trainings whose run's name holds this part wrote into their logs."""
        logs = [path for path in self.folder.glob("logs/tiny/**/*.log") if part in str(path.relative_to(self.folder))]
        return "".join(path.read_text() for path in logs)

    def steps(self, part: str = "") -> list[int]:
        return [step for run, step, *_ in self.diary if part in run]

    def until(self, ready: Callable[[], Any], what: str, seconds: float = 300) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := ready()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds:.0f} s; the log ends with\n{self.log[-4000:]}")
            time.sleep(0.2)
        return found

    def until_training(self, part: str = "", step: int = 2) -> str:
        """The Slurm job of a training that has come as far as this step."""
        self.until(lambda: any(one >= step for one in self.steps(part)), f"a training of {part!r} under way")
        return next(job for run, one, job, *_ in reversed(self.diary) if part in run)

    def node_of(self, part: str) -> str:
        return next(node for run, _, _, node, _ in reversed(self.diary) if part in run)

    @property
    def runs(self) -> dict[str, Path]:
        """Finished runs by name."""
        base = self.folder / "results/tiny/runs"
        return {str(path.parent.relative_to(base)): path.parent for path in sorted(base.rglob("spec.json"))}

    def record(self, part: str) -> dict[str, Any]:
        [path] = [one for one in self.folder.glob("results/tiny/runs/**/record.json") if part in str(one)]
        return json.loads(path.read_text())

    def results(self) -> dict[str, str]:
        """sha256 of all results that must be reproducible: products of runs, and tables except costs."""
        base = self.folder / "results/tiny"
        names = ("spec.json", "eval.json", "evaluations.npz", "model.safetensors", "predictions.npz")
        files = [folder / name for folder in self.runs.values() for name in names]
        files += [path for path in (base / "tables").glob("*") if not path.name.startswith(("cost", "made_from"))]
        return {str(path.relative_to(base)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}
