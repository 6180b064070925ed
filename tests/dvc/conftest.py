"""One repository is built for all tests; each test works in a copy or a clone of it."""

from __future__ import annotations

import pytest

from tests.dvc import clone


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "dvc":
            item.add_marker(pytest.mark.dvc)


@pytest.fixture(scope="session")
def first_repro(tmp_path_factory):
    """A fresh repository, and the output of its first `dvc repro`; the results are committed and pushed."""
    folder = tmp_path_factory.mktemp("dvc")
    made = clone.create(folder / "origin", folder / "home")
    outcome = made.repro()
    made.commit("results")
    made.must("dvc", "push")
    return made, outcome


@pytest.fixture(scope="session")
def origin(first_repro):
    return first_repro[0]


@pytest.fixture
def work(origin, tmp_path):
    """A copy of the finished repository."""
    return origin.copy(tmp_path / "work")
