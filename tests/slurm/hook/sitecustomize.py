"""Python imports this at its start when the folder is on PYTHONPATH: trainings get slower, break, and keep a diary.

The tests' `trouble.json` says what: {"seconds": per step, "slow": "part of a run's name", "fail": {"part of a run's
name": [times, at iteration]}}. The diary has a line for each step: run, iteration, Slurm job, node, visible devices.
With SEMISEG_TEST_SILENCE in the environment each node takes itself for a host of its own, as on a real cluster, and a
holder is dead after so many seconds without a heartbeat.
Nothing of the package changes, so neither do the specs of its runs. Snakemake itself looks after its jobs every few
seconds: the plugin waits 10 s longer after every look at which nothing had ended.
"""

import importlib.abc
import importlib.util
import json
import os
import socket
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ.get("SEMISEG_TEST_FOLDER", "/nonexistent"))
LONGEST_WAIT_SECONDS = 4


class Finder(importlib.abc.MetaPathFinder):
    """Lets these modules be found as ever, and changes them when they have been loaded."""

    def find_spec(self, name, path, target=None):
        change = CHANGES.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def load(module):
            execute(module)
            change(module)

        spec.loader.exec_module = load
        return spec


def hosts(lease):
    if "SEMISEG_TEST_SILENCE" in os.environ:
        lease.SILENCE_SECONDS = float(os.environ["SEMISEG_TEST_SILENCE"])
        if "SLURMD_NODENAME" in os.environ:
            socket.gethostname = lambda: os.environ["SLURMD_NODENAME"]


def trouble(train):
    training = train.Training
    step = training.step

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

    training.step = troubled


def patience(remote):
    import asyncio

    async def sleep(self):
        await asyncio.sleep(min(self.next_seconds_between_status_checks or 0, LONGEST_WAIT_SECONDS))

    remote.RemoteExecutor.sleep = sleep


CHANGES = {
    "semiseg.engine.train": trouble,
    "semiseg.runs.lease": hosts,
    "snakemake_interface_executor_plugins.executors.remote": patience,
}
if FOLDER.is_dir():
    sys.meta_path.insert(0, Finder())
