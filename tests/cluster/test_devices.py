"""k trainings on k devices: each gets one device, which becomes free however its holder ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from semiseg.base.errors import UserError
from semiseg.cluster import devices
from semiseg.commands import train

HOLD = """\
import os
from semiseg.cluster import devices
held = devices.lease({}, 0.05)
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
input()
"""


# Each process says in a file of its own which devices it sees, and stays until it is told that it is enough.
CHILD = """\
import os, pathlib, time
said = pathlib.Path(os.environ["SAID"])
place = said / f"rank{os.environ['RANK']}"
place.with_suffix(".part").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
place.with_suffix(".part").rename(place)
while not (said / "enough").exists():
    time.sleep(0.05)
"""


def wait_for(path: Path, process: subprocess.Popen) -> str:
    while not path.exists():
        assert process.poll() is None, "it ended before it said anything"
        time.sleep(0.05)
    return path.read_text()


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    found = {key: value for key, value in os.environ.items() if key not in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")}
    return found | {"SEMISEG_GPUS": "2", "TMPDIR": str(tmp_path)}


def holder(environment: dict[str, str], wanted: int = 1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD.format(wanted)], env=environment, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip


def test_every_training_has_its_own_and_a_killed_one_gives_it_back(environment):
    first, second = holder(environment), holder(environment)
    seen = {one.stdout.readline().strip() for one in (first, second)}
    assert seen == {"0", "1"}
    third = holder(environment)
    first.send_signal(signal.SIGKILL)
    assert third.stdout.readline().strip() in seen, "it waited for a device to become free"
    for one in (second, third):
        one.communicate("\n")
    first.wait()


def test_two_devices_for_one_training(environment):
    both = holder(environment, 2)
    assert both.stdout.readline().strip() == "0,1"
    both.communicate("\n")


def test_the_pool_is_what_the_user_made_visible(environment):
    one = holder(environment | {"CUDA_VISIBLE_DEVICES": "5,7"})
    other = holder(environment | {"CUDA_VISIBLE_DEVICES": "5,7"})
    assert {holding.stdout.readline().strip() for holding in (one, other)} == {"5", "7"}
    for holding in (one, other):
        holding.communicate("\n")


def test_a_job_takes_what_slurm_gave_and_nothing_else(environment):
    """Devices of two jobs may have the same name, and devices of other jobs may be visible."""
    job = environment | {"SLURM_JOB_ID": "12"}
    given = [holder(job | {"CUDA_VISIBLE_DEVICES": "0"}) for _ in range(2)]
    assert [one.stdout.readline().strip() for one in given] == ["0", "0"]
    without = holder(job)
    assert without.stdout.readline().strip() == ""
    for one in (*given, without):
        one.communicate("\n")


def test_trainings_within_one_allocation_share_its_devices(environment):
    allocation = environment | {"SLURM_JOB_ID": "12", "CUDA_VISIBLE_DEVICES": "0,1"}
    first, second = holder(allocation), holder(allocation)
    assert {one.stdout.readline().strip() for one in (first, second)} == {"0", "1"}
    for one in (first, second):
        one.communicate("\n")


def test_nothing_is_leased_where_nothing_is_needed(monkeypatch):
    monkeypatch.setenv("SEMISEG_GPUS", "2")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert devices.lease(0) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "", "a recipe for the CPU leaves the devices to others"


def test_a_gpu_that_torch_cannot_use_is_no_reason_to_train_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("SEMISEG_ON_CPU", raising=False)
    monkeypatch.setattr(devices, "in_container", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(UserError, match="GPU 3 is assigned, but torch"):
        devices.check_usable(1)
    devices.check_usable(0)
    monkeypatch.setenv("SEMISEG_ON_CPU", "1")
    devices.check_usable(1)
    monkeypatch.delenv("SEMISEG_ON_CPU")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    devices.check_usable(1)  # no GPU on this machine: the user knows


def test_a_container_without_the_driver_is_told_apart(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("SEMISEG_ON_CPU", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("APPTAINER_CONTAINER", "semiseg.sif")
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "nvidiactl")
    with pytest.raises(UserError, match="this container has no GPU driver; start it with `--nv`"):
        devices.check_usable(1)
    (tmp_path / "nvidiactl").touch()
    with pytest.raises(UserError, match="is the driver older than CUDA"):
        devices.check_usable(1)


def test_the_training_command_asks_before_it_begins(monkeypatch):
    recipe = {"network": {"architecture": "fpn"}, "gpus": 1}
    monkeypatch.setattr(train, "_wanted", lambda options: {"config": {"recipe": recipe}})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("SEMISEG_ON_CPU", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("RANK", "0")  # a process that torchrun has started: nothing is leased
    with pytest.raises(UserError, match="GPU 3 is assigned"):
        train.run(None)


def test_two_devices_are_two_processes_that_keep_the_lease(environment, tmp_path):
    """torchrun replaces the process with the leases, starts the command twice, and holds the devices until it ends."""
    package = tmp_path / "semiseg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(CHILD)
    code = "from semiseg.cluster import devices as d; d.in_processes(2, d.lease(2))"
    inside = environment | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", "SAID": str(tmp_path)}
    load = f"import sys; sys.path.insert(0, {str(Path(devices.__file__).parents[2])!r}); {code}"
    both = subprocess.Popen([sys.executable, "-c", load], env=inside)
    seen = [wait_for(tmp_path / f"rank{rank}", both) for rank in range(2)]
    assert seen == ["0,1", "0,1"]
    third = holder(environment)
    assert both.poll() is None
    (tmp_path / "enough").touch()
    assert third.stdout.readline().strip() == "0"
    assert both.wait() == 0, "the third waited until both were done"
    third.communicate("\n")
