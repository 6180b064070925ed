"""The stand-in of the simulated study, which is only run by hand, must stay consistent with real trainings."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path

from semiseg.engine import launch


def test_the_stand_in_takes_what_a_training_takes():
    path = Path(__file__).parents[1] / "slurm/standin/sitecustomize.py"
    stand_in = runpy.run_path(str(path))["stand_in"]
    assert list(inspect.signature(stand_in).parameters) == list(inspect.signature(launch.train_run).parameters)
