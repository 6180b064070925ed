"""Scores: each training writes its scores, and `evaluate --suite` makes missing ones."""

from __future__ import annotations

import json
import shutil

import pytest

from semiseg.cli import main
from semiseg.report import rebuild, verify
from semiseg.study import freshness
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
    monkeypatch.setattr(freshness, "evaluation_code", lambda: "new")
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
    assert stopped.value.code == 2 and "name folders of finished runs" in capsys.readouterr().err


def test_corrupted_images_are_scored_from_the_runs_weights(run, capsys):
    """The clean score equals that of the training, and the report shows all scores."""
    main(["evaluate", "--corruptions", str(run)])
    found, summary = (json.loads((run / name).read_text()) for name in ("corruptions.json", "eval.json"))
    assert "over 15 corruptions" in capsys.readouterr().out
    clean = summary["networks"][summary["reported_network"]]["last"]["miou"]
    assert found["clean"] == pytest.approx(clean, abs=0.2) and len(found["scores"]) == 15
    assert all(score["drop"] == pytest.approx(score["miou"] - found["clean"]) for score in found["scores"])
    assert any(score["drop_error"] > 0 for score in found["scores"])
    main(["report", "tables"])
    table = (Study.load().folder / "tables/corruptions.csv").read_text()
    assert table.count("supervised") == 16 and "noise" in table


def test_what_a_training_keeps_for_other_metrics_is_in_the_report(run, monkeypatch, capsys):
    """After a real training each metric has figures, and two files suffice to make the tables again."""
    main(["report", "tables"])
    folder = Study.load().folder
    columns = (folder / "tables/metrics.csv").read_text().splitlines()[0]
    for name in ("boundary_miou", "calibration_error", "error_auroc", "image_miou", "worst_tenth"):
        assert f"{name}_mean" in columns
    monkeypatch.setattr(rebuild, "FOLDERS", ("tables",))  # drawing takes seconds
    monkeypatch.setattr(rebuild.plots, "build", lambda *_: None)
    monkeypatch.setattr(rebuild.study_readme, "build", lambda *_: None)
    monkeypatch.setattr(verify.study_readme, "NAME", "no page")
    main(["report", "verify", str(folder)])
    assert "files equal those" in capsys.readouterr().out


def test_corruptions_without_weights_or_runs_are_a_sentence(run, capsys):
    (run / "model.safetensors").unlink()
    for arguments, words in (([str(run)], "model.safetensors is missing"), ([], "name folders of finished runs")):
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", "--corruptions", *arguments])
        assert stop.value.code == 2 and words in capsys.readouterr().err
