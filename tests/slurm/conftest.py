"""These tests change the daemons of a throw-away Slurm (tests/slurm/throwaway.py): never point them at a real one."""

from __future__ import annotations

import getpass
import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import tiny
from tests.slurm.throwaway import Cluster
from tests.slurm.workspace import Workspace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session", params=["plain", "accounting"])
def mode(request: pytest.FixtureRequest) -> Cluster:
    """The cluster, without or with slurmdbd; it is built again if a cluster of the other kind is running."""
    up = Cluster.running()
    if up is None:
        pytest.skip("no throw-away Slurm answers; start one with `python tests/slurm/throwaway.py up FOLDER`")
    accounting = request.param == "accounting"
    if up.accounting != accounting:
        up.down()
        up = Cluster(up.folder, up.nodes, accounting).up()
    return up


@pytest.fixture
def cluster(mode: Cluster) -> Iterator[Cluster]:
    """The cluster, idle and complete after any previous test."""
    yield mode
    mode.mend()
    subprocess.run(["scancel", "-u", getpass.getuser()])
    deadline = time.monotonic() + 60
    while subprocess.run(["squeue", "-h"], capture_output=True).stdout and time.monotonic() < deadline:
        time.sleep(0.5)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few drawn images, prepared once."""
    if Cluster.running() is None:
        pytest.skip("no throw-away Slurm answers")
    folder = tmp_path_factory.mktemp("prepared")
    tiny.draw(folder / "data/tiny/raw", {"train": 12, "val": 4, "test": 5})
    workspace = Workspace(folder / "workspace", folder / "data")
    assert workspace.run("data_all", profile="local") == 0, workspace.log
    return folder / "data"


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """The results of the tiny suite with these changes on this machine, without disturbances and without Slurm."""
    found: dict[str, dict[str, str]] = {}

    def results(**changes) -> dict[str, str]:
        key = json.dumps(changes, sort_keys=True)
        if key not in found:
            workspace = Workspace(tmp_path_factory.mktemp("reference") / "workspace", data, **changes)
            assert workspace.run(profile="local") == 0, workspace.log
            found[key] = workspace.results()
        return found[key]

    return results


@pytest.fixture(scope="session")
def reference(undisturbed: Callable[..., dict[str, str]]) -> dict[str, str]:
    results = undisturbed()
    assert sum(name.endswith("spec.json") for name in results) == 3
    assert any(name.startswith("tables/comparison") for name in results)
    return results


@pytest.fixture
def workspace(data: Path, tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    numbers, made = itertools.count(), []

    def make(**changes) -> Workspace:
        made.append(Workspace(tmp_path / f"workspace{next(numbers)}", data, **changes))
        return made[-1]

    yield make
    for one in made:
        one.stop()
