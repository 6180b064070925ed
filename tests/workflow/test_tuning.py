"""A study with tuning is finished by one command, and no run is trained twice."""

from __future__ import annotations

import pytest

from semiseg.base.files import peek_json
from tests import tiny


@pytest.mark.slow
def test_trials_choice_and_tuned_rows_in_one_command(study):
    tune = {"at": 4, "trials": 2, "iterations": 4}
    place = study(tiny.params({"supervised": {"at": [4]}}, splits={"partitions": [4]}, tune=tune))
    first = place.snakemake("evaluate_all")
    assert first.code == 0, first.text
    assert first.jobs("train") == 4, "a default run, two trials and the tuned run"
    assert first.jobs("tuning") == 1
    setting = peek_json(place.folder / "tuning/supervised.json", "setting")
    spec = peek_json(next(place.folder.glob("runs/*/*/supervised/tuned/seed0/spec.json")), "spec")
    rate = spec["config"]["recipe"]["optimiser"]["lr"]
    assert rate == setting.get("recipe.optimiser.lr", 0.003)
    assert "Nothing to be done" in place.snakemake("evaluate_all").text

    before = place.trained()
    content = place.params
    content["suites"]["tiny"]["tune"]["trials"] = 3
    place.write(content)
    more = place.snakemake("evaluate_all")
    assert more.code == 0, more.text
    assert more.jobs("tuning") == 1
    changed = {path.split("/")[-3] for path, time in place.trained().items() if before.get(path) != time}
    same_best = peek_json(place.folder / "tuning/supervised.json", "setting") == setting
    assert changed == ({"trial2"} if same_best else {"trial2", "tuned"})
