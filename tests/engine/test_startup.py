"""A training starts fast, because trainings of a small study take seconds and each is a separate process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests import tiny

HEAVY = ("timm", "segmentation_models_pytorch", "torchvision", "torch._dynamo", "torch._inductor", "sympy", "pandas",
         "matplotlib", "snakemake", "dvc", "scipy.stats")  # fmt: skip
SCRIPT = f"""
import json, resource, sys
from semiseg.engine import launch
before = "torch" in sys.modules
from tests.engine.conftest import only_training, train_steps
training = only_training()
train_steps(training, 1)
used = resource.getrusage(resource.RUSAGE_SELF)
loaded = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps({{"torch": before, "loaded": loaded, "seconds": used.ru_utime + used.ru_stime}}))
"""

BARE = "import resource, torch; used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"


@pytest.fixture
def run(prepared, tmp_path, request):
    """Runs a program in the folder of a small study and returns its last line of output."""
    where = prepared(tiny.params({"unimatch": {}}, splits={"partitions": [4]}), tmp_path / "work")
    environment = {"PYTHONPATH": str(request.config.rootpath), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}

    def call(program):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=where, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    return call


def test_a_step_of_the_small_network_loads_nothing_heavy(run):
    found = json.loads(run(SCRIPT))
    assert not found["torch"], "asking whether a run is finished must not cost an import of torch"
    assert found["loaded"] == []


@pytest.mark.slow
def test_a_first_step_costs_little_beside_the_import_of_torch(run):
    """4 s on a core on which torch's own import takes 2.6; seconds alone would test the machine. The first of the
    processes may have compiled bytecode, and neighbours are noise: the best of three."""
    whole = min(json.loads(run(SCRIPT))["seconds"] for _ in range(3))
    bare = min(float(run(BARE)) for _ in range(3))
    assert whole < 1.7 * bare, "what is added to the import of torch must stay small"
