"""Python imports this at its start when the folder is on PYTHONPATH: trainings pause, break, and keep a diary.

The tests' `trouble.json` says what. Its keys are "pause": {part of a run's name: iteration}, "deaf": {part: iteration},
"fail": {part: [times, iteration]} and "slow": {part: seconds per step}. A pause ends when the file no longer asks for
it, or when the training is told to stop; a deaf training pauses too, and does not stop when it is told to. The diary
has a line for each step: run, iteration, Slurm job, node, visible devices.
With SEMISEG_TEST_SILENCE in the environment each node takes itself for a host of its own, as on a real cluster, and a
holder is dead after so many seconds without a heartbeat.
Nothing of the package changes, so neither do the specs of its runs. Snakemake itself looks after its jobs every second:
the plugin waits 10 s longer after every look at which nothing had ended. It starts faster, too: a third of its start is
the import of pandas for the plugin's efficiency report, which nobody asks for.
"""

import importlib.abc
import importlib.util
import json
import os
import socket
import sys
import time
import types
from pathlib import Path

FOLDER = Path(os.environ.get("SEMISEG_TEST_FOLDER", "/nonexistent"))
LONGEST_WAIT_SECONDS = 1


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

    def wanted(kind):
        return json.loads((FOLDER / "trouble.json").read_text()).get(kind, {}).items()

    def at(kind, self):
        return any(part in str(self.folder.path) and self.iteration == iteration for part, iteration in wanted(kind))

    def troubled(self, batch):
        run = str(self.folder.path)
        with (FOLDER / "diary.txt").open("a") as diary:
            diary.write(
                f"{run} {self.iteration} {os.environ.get('SLURM_JOB_ID', '-')} "
                f"{os.environ.get('SLURMD_NODENAME', '-')} {os.environ.get('CUDA_VISIBLE_DEVICES', '-') or '-'} "
                f"{os.environ.get('RANK', '0')}\n"
            )
        for part, (times, iteration) in wanted("fail"):
            if part not in run or self.iteration != iteration:
                continue  # another training may be writing this part's count
            count = FOLDER / f"failed-{part.replace('/', '-')}"
            done = int(count.read_text()) if count.exists() else 0
            if done < times:
                count.write_text(str(done + 1))
                raise RuntimeError("this failure was ordered by the test")
        while at("deaf", self) or (at("pause", self) and not self.stop_requested):
            time.sleep(0.1)
        time.sleep(sum(seconds for part, seconds in wanted("slow") if part in run))
        step(self, batch)

    training.step = troubled


def patience(remote):
    import asyncio

    async def sleep(self):
        await asyncio.sleep(min(self.next_seconds_between_status_checks or 0, LONGEST_WAIT_SECONDS))

    remote.RemoteExecutor.sleep = sleep
    throttler = remote.Throttler
    remote.Throttler = lambda rate_limit, period: throttler(rate_limit, min(period, LONGEST_WAIT_SECONDS))


CHANGES = {
    "semiseg.engine.train": trouble,
    "semiseg.runs.lease": hosts,
    "snakemake_interface_executor_plugins.executors.remote": patience,
}
if FOLDER.is_dir():
    sys.meta_path.insert(0, Finder())
UNUSED = types.ModuleType("snakemake_executor_plugin_slurm.efficiency_report")
UNUSED.create_efficiency_report = None
sys.modules[UNUSED.__name__] = UNUSED
