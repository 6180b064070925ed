"""Python imports this at its start when the folder is on PYTHONPATH: trainings get slower, break, and keep a diary.

The tests' `trouble.json` says what: {"seconds": per step, "slow": "part of a run's name", "fail": {"part of a run's
name": [times, at iteration]}}. The diary has a line for each step: run, iteration, Slurm job, node, visible devices.
Nothing of the package changes, so neither do the specs of its runs.
"""

import importlib.abc
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ.get("SEMISEG_TEST_FOLDER", "/nonexistent"))


class Finder(importlib.abc.MetaPathFinder):
    """Lets `semiseg.engine.train` be found as ever, and changes it when it has been loaded."""

    def find_spec(self, name, path, target=None):
        if name != "semiseg.engine.train":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def load(module):
            execute(module)
            trouble(module.Training)

        spec.loader.exec_module = load
        return spec


def trouble(training):
    step = training._step

    def troubled(self, batch):
        wanted = json.loads((FOLDER / "trouble.json").read_text())
        run = str(self.folder.path)
        with (FOLDER / "diary.txt").open("a") as diary:
            diary.write(
                f"{run} {self.iteration} {os.environ.get('SLURM_JOB_ID', '-')} "
                f"{os.environ.get('SLURMD_NODENAME', '-')} {os.environ.get('CUDA_VISIBLE_DEVICES', '-') or '-'} "
                f"{os.environ.get('RANK', '0')}\n"
            )
        for part, (times, iteration) in wanted.get("fail", {}).items():
            count = FOLDER / f"failed-{part.replace('/', '-')}"
            done = int(count.read_text()) if count.exists() else 0
            if part in run and self.iteration == iteration and done < times:
                count.write_text(str(done + 1))
                raise RuntimeError("this failure was ordered by the test")
        if wanted.get("slow", "") in run:
            time.sleep(wanted.get("seconds", 0))
        step(self, batch)

    training._step = troubled


if FOLDER.is_dir():
    sys.meta_path.insert(0, Finder())
