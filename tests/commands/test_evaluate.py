"""Scores: a training writes its own, and `evaluate --suite` makes those that lack."""

from __future__ import annotations

import json
import shutil

import pytest

from semiseg.cli import main
from semiseg.study import study as studies
from semiseg.study.study import Study


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    root, folder = finished
    shutil.copytree(root, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return folder


def test_a_training_scores_itself(run):
    assert Study.load().evaluations[run].fresh()
    (run / "eval.json").unlink()
    main(["train", str(run)])
    assert Study.load().evaluations[run].fresh(), "also one that was finished before"


def test_new_code_of_the_scores_makes_all_of_them_again(run, monkeypatch):
    study = Study.load()
    main(["evaluate", "--suite", study.name, "--list", str(study.scores.files[0])])
    assert Study.load().scores.fresh()
    monkeypatch.setattr(studies, "evaluation_code", lambda: "new")
    assert not Study.load().scores.fresh()
    main(["evaluate", "--suite", study.name, "--list", str(study.scores.files[0])])
    assert json.loads((run / "eval.json").read_text())["code"] == "new"
    assert Study.load().scores.fresh()


def test_a_damaged_or_missing_evaluation_is_not_taken_for_scored(run):
    study = Study.load()
    main(["evaluate", "--suite", study.name, "--list", str(study.scores.files[0])])
    text = (run / "eval.json").read_text()
    (run / "eval.json").write_text(text.replace('"miou"', '"moiu"', 1))
    assert not Study.load().scores.fresh()
    (run / "eval.json").unlink()
    assert not Study.load().scores.fresh()


def test_nothing_named_is_answered(run, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate"])
    assert stopped.value.code == 2 and "name the folders" in capsys.readouterr().err
