"""The script that compares chosen with random labels, on a study that trains in seconds."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semiseg.base.errors import UserError
from semiseg.cli import main
from semiseg.study.study import Study
from tests import tiny

SCRIPT = Path(__file__).parents[2] / "scripts/measure_active_labelling.py"


def train(suite: str) -> None:
    study = Study.load(suite)
    for product in study.splits.values():
        product.ask()
        main(["split", str(product.files[0]), "--request", str(product.request)])
    for run in Study.load(suite).plan.runs:
        main(["train", str(run.path)])


def test_chosen_labels_are_compared_with_drawn_ones(tmp_path, monkeypatch, capsys):
    content = tiny.params(seeds=[0, 1], recipe={"iterations": 2}, evaluation={"every": 2})
    monkeypatch.chdir(tiny.workspace(tmp_path, content))
    steps = runpy.run_path(str(SCRIPT))
    main(["data", "prepare", "tiny"])
    steps["prepare"]("tiny", labels=3, lists=2, method="supervised")
    assert {run.seed for run in Study.load("tiny_active_start").plan.runs} == {0}, "only the first seed chooses"
    train("tiny_active_start")
    steps["choose"]("tiny")
    lists = {path.stem: set(path.read_text().split()) for path in Path("data/tiny/lists").iterdir()}
    for number in (0, 1):
        start = lists[f"start_{number}"]
        for way in ("chosen", "random"):
            assert start < lists[f"{way}_{number}"] and len(lists[f"{way}_{number}"]) == 2 * len(start) == 6
    assert lists["start_0"] != lists["start_1"]
    with pytest.raises(UserError, match="tiny_active has no finished pair of trainings"):
        steps["report"]("tiny", tmp_path)
    train("tiny_active")
    capsys.readouterr()
    steps["report"]("tiny", tmp_path)
    assert "over seeds, lists, images; 4 pairs." in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "active_labelling_tiny.csv")
    assert set(table.method) == {"supervised"} and set(table.labels) == {6}
    assert sorted(zip(table.list, table.seed, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert np.allclose(table.gain, table.chosen - table.random, atol=1e-3)
    page = (tmp_path / "active_labelling_tiny.md").read_text()
    assert f"| {table.gain[0]:+.1f} |" in page and "3 labels to start with and 6 in the end" in page
    # A pair of which one training is missing is left out.
    unfinished = next(
        run.path for run in Study.load("tiny_active").plan.runs if run.partition == "random_1" and run.seed == 0
    )
    (unfinished / "evaluations.npz").unlink()
    steps["report"]("tiny", tmp_path)
    left = pd.read_csv(tmp_path / "active_labelling_tiny.csv")
    assert sorted(zip(left.list, left.seed, strict=True)) == [(0, 0), (0, 1), (1, 1)]
    assert left.gain.tolist() == table.gain[[0, 1, 3]].tolist()
