"""The promises of CONTRIBUTING.md: its example method works unchanged, and additions break no test."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests import tiny
from tests.workflow.conftest import ENVIRONMENT, REPOSITORY

NAME = "entropy_minimisation"
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text()
# Tests of all methods, data sets, encoders and suites that are there, and of files that are made from them.
CONCERNED = (
    "tests/base", "tests/house", "tests/methods", "tests/models/test_network_config.py", "tests/params",
    "tests/report/test_names.py", "tests/runs/test_spec.py", "tests/splits/test_committed.py", "tests/study",
    "tests/workflow/test_catalogue.py",
)  # fmt: skip
DATASET = {"kind": "folder", "data_root": "data/mine/raw"}
SUITE = {
    "title": "My images",
    "dataset": "mine",
    "splits": {"family": "stratified:0", "partitions": [8, "full"]},
    "seeds": [0, 1],
    "recipe": {
        "network": {"architecture": "unet", "encoder": "tu-efficientnet_b0.ra_in1k", "encoder_weights": "hub"},
        "crop": 128,
        "batch": {"labelled": 4, "unlabelled": 4},
        "iterations": 1000,
        "optimiser": {"lr": 0.01},
    },
    "evaluation": {"every": 100},
    "methods": ["supervised", "unimatch", NAME],
}


def fenced(language: str) -> str:
    [example] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return example


def test_the_example_method_trains_and_has_its_row(study, tmp_path, monkeypatch):
    example = fenced("python")
    assert len(example.splitlines()) < 50
    package = tmp_path / "package"
    shutil.copytree(REPOSITORY / "src/semiseg", package / "semiseg", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "semiseg/methods" / f"{NAME}.py").write_text(example)
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(package))
    recipe = {"iterations": 5}
    content = tiny.params({NAME: {"at": [4]}}, recipe=recipe, splits={"partitions": [4]}, evaluation={"every": 5})
    work = study(content)
    outcome = work.snakemake("tables")
    assert outcome.code == 0, outcome.text
    [row] = pd.read_csv(work.folder / "tables/comparison.csv").to_dict("records")
    assert (row["method"], row["state"], row["iterations"]) == (NAME, "done", 5)
    assert 0 <= row["miou_last_mean"] <= 100


@pytest.fixture
def extended(tmp_path) -> Path:
    """The repository with the method, its block, a data set of the kind `folder` and an encoder of timm's."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, tmp_path / name)
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):  # some pages say what is committed
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "src/semiseg/methods" / f"{NAME}.py").write_text(fenced("python"))
    params = tmp_path / "params.yaml"
    content = yaml.safe_load(params.read_text())
    block = yaml.safe_load(fenced("yaml"))["suites"]["pocket"]["methods"]
    content["suites"]["pocket"]["methods"] |= block
    content["suites"]["mine"], content["datasets"]["mine"] = SUITE, DATASET
    head, *_ = params.read_text().partition("\n")
    params.write_text(f"{head}\n{yaml.safe_dump(content, sort_keys=False)}")
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_addition_turns_nothing_red(extended):
    environment = ENVIRONMENT | {"PYTHONPATH": str(extended / "src")}
    others = {path.stem for path in (REPOSITORY / "src/semiseg/methods").glob("[!_]*.py")} - {"method", "supervised"}
    # No training in small, for these are of other data sets, and no test of another method.
    chosen = ("-m", "not (slow or exhaustive)", "-k", f"not ({' or '.join(['in_small', *sorted(others)])})")
    tests = [sys.executable, "-m", "pytest", *chosen, "-p", "no:cacheprovider", *CONCERNED]
    for command in (["make", "-o", "environment", "lint"], [*tests, "-vv"]):
        done = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"[{NAME}" in done.stdout, "the method's own cases are among the tests"
