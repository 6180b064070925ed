"""The method in CONTRIBUTING.md works as it stands there: copied in, trained by the workflow, found in the table."""

from __future__ import annotations

import re
import shutil

import pandas as pd

from tests import tiny
from tests.workflow.conftest import ENVIRONMENT, REPOSITORY

NAME = "entropy_minimisation"


def test_the_example_method_trains_and_has_its_row(study, tmp_path, monkeypatch):
    [example] = re.findall(r"```python\n(.*?)```", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(example.splitlines()) < 40
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
