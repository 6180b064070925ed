"""What `make demo` has to leave behind, in the clone that SEMISEG_DEMO names. Runs the demo a second time."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.demo
METHODS = [
    *("supervised", "advsemiseg", "scl", "rc2l", "imas", "mean_teacher"),
    *("cutmix_seg", "fixmatch", "cps", "unimatch", "augseg"),
]


@pytest.fixture(scope="module")
def clone() -> Path:
    if "SEMISEG_DEMO" not in os.environ:
        pytest.skip("SEMISEG_DEMO names no clone in which `make demo` has run")
    return Path(os.environ["SEMISEG_DEMO"])


@pytest.fixture(scope="module")
def comparison(clone) -> pd.DataFrame:
    return pd.read_csv(clone / "results/pocket/tables/comparison.csv", dtype={"partition": str})


def test_every_cell_is_done(clone, comparison):
    assert set(comparison.state) == {"done"}
    assert set(comparison.method) == set(METHODS)
    for table in (clone / "results/pocket/tables").glob("ablation_*.csv"):
        assert set(pd.read_csv(table).state) == {"done"}, table.name


def test_all_methods_had_the_same_number_of_iterations(comparison):
    assert comparison.iterations.nunique() == 1


def test_pocket_is_a_useful_miniature(comparison):
    supervised = comparison[(comparison.method == "supervised") & (comparison.variant == "default")]
    miou = supervised.set_index("partition").miou_last_mean
    smallest = miou[str(min(int(name) for name in miou.index if name != "full"))]
    assert miou["full"] >= 75
    assert miou["full"] - smallest >= 12


def test_the_work_tree_is_clean(clone):
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_a_second_demo_does_nothing_and_is_quick(clone):
    records = (clone / "results/pocket/records.jsonl").read_bytes()
    began = time.monotonic()
    done = subprocess.run(["make", "-s", "demo"], cwd=clone, capture_output=True, text=True)
    seconds = time.monotonic() - began
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr
    assert "report/index.html" in done.stdout
    assert (clone / "results/pocket/records.jsonl").read_bytes() == records
    assert seconds < 20
