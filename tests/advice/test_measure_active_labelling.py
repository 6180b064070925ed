"""The script that compares chosen labels with drawn ones, on a study that trains in seconds."""

from __future__ import annotations

import runpy
from pathlib import Path

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
    steps["prepare"]("tiny", labels=3, lists=2)
    train("tiny_active_start")
    steps["choose"]("tiny")
    lists = {path.stem: set(path.read_text().split()) for path in Path("data/tiny/lists").iterdir()}
    for number in (0, 1):
        start = lists[f"start_{number}"]
        for way in ("chosen", "random"):
            assert start < lists[f"{way}_{number}"] and len(lists[f"{way}_{number}"]) == 2 * len(start) == 6
    assert lists["start_0"] != lists["start_1"]
    train("tiny_active")
    capsys.readouterr()
    steps["report"]("tiny")
    told = capsys.readouterr().out
    assert '"covers": "seeds+lists+images", "n": 4' in told and "drawing at random: " in told
