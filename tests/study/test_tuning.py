"""Equal numbers of trials, judged on val only, and the use of the best trial."""

from __future__ import annotations

import itertools
import math
import os
import shutil
from pathlib import Path

import pytest
import yaml

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.files import read_json, write_json
from semiseg.cli import main
from semiseg.cluster import run_states
from semiseg.feed.store import Store
from semiseg.methods._ranges import Between, OneOf, Times
from semiseg.params import loading
from semiseg.params.schema import Params
from semiseg.runs.seal import sealed
from semiseg.study import from_others, grid, trials
from semiseg.study.plan import Plan, Run
from semiseg.study.study import Study
from tests import tiny

TUNE = {"at": 4, "trials": 3, "iterations": 6}
METHODS = {"supervised": {}, "fixmatch": {"at": [4]}}


def planned(tune: dict, **changes) -> Plan:
    return grid.plan(Params.model_validate(tiny.params(METHODS, tune=tune, **changes)))


# ---------------------------------------------------------------- what is tried


def test_every_method_gets_the_same_number_of_trials_and_the_default_is_one_of_them():
    plan = planned(TUNE)
    by_method = {name: [run for run in plan.trials if run.method == name] for name in METHODS}
    for name, runs in by_method.items():
        assert [run.trial for run in runs] == [0, 1, 2]
        assert runs[0].setting == {}
        assert {run.partition for run in runs} == {"4"}
        assert all(set(run.setting) == set(methods.load(name).tuned) for run in runs[1:])
    default = next(run for run in plan.runs if (run.method, run.variant) == ("fixmatch", "default"))
    assert by_method["fixmatch"][0].options == default.options
    assert by_method["fixmatch"][1].options["confidence"] == by_method["fixmatch"][1].setting["confidence"]


def test_a_setting_reaches_options_and_recipe():
    [trial] = [run for run in planned(TUNE).trials if (run.method, run.trial) == ("fixmatch", 1)]
    assert trial.config["method"]["options"]["lambda_unlabelled"] == trial.setting["lambda_unlabelled"]
    assert trial.config["recipe"]["optimiser"]["lr"] == trial.setting["recipe.optimiser.lr"] != 0.003
    assert trial.config["recipe"]["augment"]["strength"] == trial.setting["recipe.augment.strength"]
    assert trial.config["recipe"]["iterations"] == 6


@pytest.mark.parametrize("name", methods.names())
def test_ranges_are_of_options_that_exist_and_hold_valid_values(name):
    kind = methods.load(name)
    recipe = {"optimiser": {"lr": 0.01}, "augment": {"strength": 0.5}}
    config = {"method": {"name": name, "options": kind.Options().model_dump()}, "recipe": recipe}
    for setting in trials.settings(config, 8, seed=0)[1:]:
        kind.Options.model_validate(trials.applied(config, setting)["method"]["options"])
        assert set(trials.applied(config, setting)["recipe"]) == set(recipe)
        assert set(setting) >= {"recipe.optimiser.lr"}


def test_the_sequence_is_even_seeded_and_always_the_same():
    config = {"method": {"name": "supervised", "options": {}}, "recipe": {"optimiser": {"lr": 1.0}}}
    rates = [one["recipe.optimiser.lr"] for one in trials.settings(config, 8, seed=0)[1:]]
    places = sorted(math.log(rate / 0.5, 4) for rate in rates)
    assert all(after - before > 0.12 for before, after in itertools.pairwise(places)), "an eighth apart"
    assert rates == [one["recipe.optimiser.lr"] for one in trials.settings(config, 8, seed=0)[1:]]
    assert rates != [one["recipe.optimiser.lr"] for one in trials.settings(config, 8, seed=1)[1:]]
    assert rates[:3] == [one["recipe.optimiser.lr"] for one in trials.settings(config, 4, seed=0)[1:]]


def test_ranges():
    assert Between(2.0, 4.0).value(0.25, None) == 2.5
    assert Between(0.01, 1.0, log=True).value(0.5, None) == 0.1
    assert Times(0.5, 2.0).value(0.5, 0.03) == 0.03
    assert [OneOf((8, 16)).value(place, None) for place in (0.0, 0.49, 0.5, 0.99)] == [8, 8, 16, 16]


def test_a_tuned_row_stands_beside_the_default_at_one_partition():
    plan = planned(TUNE)
    rows = [(cell.method, cell.variant, cell.partition) for cell in plan.cells if cell.method == "supervised"]
    assert rows == [("supervised", "default", "4"), ("supervised", "default", "full"), ("supervised", "tuned", "4")]
    assert not any(run.trial is not None for cell in plan.cells for run in cell.runs), "trials are in no table"


def test_trials_may_have_another_data_set_and_list():
    content = tiny.params(METHODS, tune=TUNE | {"dataset": "other", "family": "random:1", "trials_at": 3})
    content["datasets"]["other"] = {"kind": "pocket"}
    study = Study(Params.model_validate(content))
    assert {run.config["dataset"]["name"] for run in study.plan.trials} == {"other"}
    assert set(study.data) == {"tiny", "other"}
    [file] = {study.specs.split_file(run) for run in study.plan.trials}
    assert file == Path("results/tiny/splits/other/random-1-3.json")
    assert study.splits["other/random-1-3"].content == {"family": "random:1", "partition": "3", "dataset": "other"}
    tuned = [run for run in study.plan.runs if run.variant == "tuned"]
    assert {(run.dataset, run.partition) for run in tuned} == {("tiny", "4")}
    assert {Path(study.runs[run.path].content["splits"]) for run in study.plan.trials} == {file.parent}


def test_the_stages_before_a_trial_are_those_of_the_default():
    """They are trained once for all trials; on another data set without evaluation on test, they are judged on val."""
    for changes, judged_on in (({}, "test"), ({"dataset": "other"}, "val")):
        content = tiny.params({"st_plus_plus": {"at": [4]}}, tune=TUNE | changes)
        content["datasets"]["other"] = {"kind": "pocket"}
        plan = grid.plan(Params.model_validate(content))
        default, *others = plan.trials
        assert len(others) == 2 and all(one.config["needs"] == default.config["needs"] for one in others)
        first = default.needs["first_student"]
        assert first.setting == {} and first.path in {run.path for run in plan.runs}
        for run in (first, first.needs["teacher"]):
            assert run.dataset == default.dataset
            assert run.config["evaluation"]["evaluated_on"] == judged_on
            assert judged_on == "test" or run.config["evaluation"]["selected_on"] is None


def test_trials_name_no_other_set_than_val():
    for run in planned(TUNE).trials:
        assert run.config["evaluation"]["evaluated_on"] == "val"
        assert run.config["evaluation"]["selected_on"] is None


@pytest.mark.parametrize(
    ("tune", "changes", "sentence"),
    [
        ({"at": "full"}, {}, "suites.tiny.tune.at: 'full' is no partition of the suite with unlabelled images (4)"),
        ({"at": 5}, {}, "suites.tiny.tune.at: '5' is no partition of the suite with unlabelled images (4)"),
        ({"at": 4, "methods": ["fixmetch"]}, {}, "'fixmetch' is no method of the suite; did you mean 'fixmatch'"),
        ({"at": 4, "dataset": "tyny"}, {}, "tune.dataset: there is no data set 'tyny'"),
        ({"at": 4, "family": "rendom:0"}, {}, "suites.tiny.tune: there is no split family 'rendom:0'"),
        (
            {"at": 4},
            {"evaluation": {"selected_on": None}},
            "selected_on is null, so the suite's val must not select trials",
        ),
        ({"at": 4, "trials": 1}, {}, "suites.tiny.tune.trials"),
    ],
)
def test_what_makes_no_sense_is_answered(tune, changes, sentence, tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny.params(METHODS, tune=tune, **changes)))
    with pytest.raises(UserError) as error:
        loading.load(tmp_path / "params.yaml")
    assert sentence in str(error.value)


# ---------------------------------------------------------------- what becomes of it


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """A study whose trials are trained, and the images that they read."""
    content = tiny.params({"supervised": {"at": [4]}}, splits={"partitions": [4]}, tune={**TUNE, "trials": 2})
    root = tiny.workspace(tmp_path_factory.mktemp("tried"), content)
    before, read = Path.cwd(), set()
    os.chdir(root)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("image", "label"):
            patch.setattr(Store, name, _noting(getattr(Store, name), read))
        try:
            main(["data", "prepare", "tiny"])
            for product in Study.load().splits.values():
                product.ask()
                main(["split", str(product.files[0]), "--request", str(product.request)])
            read.clear()
            for run in Study.load().plan.trials:
                main(["train", str(run.path)])
            yield root, set(read)
        finally:
            os.chdir(before)


def _noting(read, seen: set):
    def noting(self, image):
        seen.add(image)
        return read(self, image)

    return noting


@pytest.fixture
def study(tried, monkeypatch):
    root, _ = tried
    monkeypatch.chdir(root)
    (root / "results/tiny/tuning/supervised.json").unlink(missing_ok=True)
    return root


def test_nothing_of_test_is_read(tried):
    root, read = tried
    assert any(image.startswith("val_") for image in read)
    assert any(image.startswith("train_") for image in read)
    assert not any(image.startswith("test_") for image in read)
    for path in root.glob("results/tiny/runs/*/*/*/trial*/seed0/eval.json"):
        scores = read_json(path)
        assert set(scores["networks"]["student"]["curves"]) == {"val"}


def best_is(number: int) -> dict:
    """Choose the best trial by invented scores."""
    for run in Study.load().plan.trials:
        path = run.path / "eval.json"
        content = {key: value for key, value in read_json(path).items() if key != "sha256"}
        content["networks"]["student"]["last"]["miou"] = 50.0 + (run.trial == number)
        write_json(path, sealed(content))
    main(["tune", "results/tiny/tuning/supervised.json"])
    return read_json("results/tiny/tuning/supervised.json")


def tuned_run(study: Study) -> Run:
    return next(run for run in study.plan.runs if run.variant == "tuned")


def test_the_best_is_written_down_with_its_trials_and_becomes_the_row(study):
    unknown = Study.load()
    assert not unknown.runs[tuned_run(unknown).path].fresh()
    found = best_is(1)
    assert found["best"] == 1
    assert [one["val_miou"] for one in found["trials"]] == [50.0, 51.0]
    assert found["setting"] == found["trials"][1]["setting"] != {}
    known = tuned_run(Study.load())
    assert known.config["recipe"]["optimiser"]["lr"] == found["setting"]["recipe.optimiser.lr"]
    assert known.config["recipe"]["iterations"] == 12, "of the suite, not of the trials"
    [cell] = [cell for cell in Study.load().plan.cells if cell.variant == "tuned"]
    assert cell.runs == (known,)
    main(["train", str(known.path)])
    assert Study.load().runs[known.path].fresh()
    [seen] = [one for one in run_states.Watch(unknown).look() if one.run == known.name]
    assert seen.state == "finished", "also for a driver that started before the tuning ended"
    lr = yaml.safe_load((known.path / "config.yaml").read_text())["recipe"]["optimiser"]["lr"]
    assert lr == found["setting"]["recipe.optimiser.lr"]


def test_trials_are_judged_on_val_where_the_suite_reports_test(study):
    known = Study.load()
    trial, tuned = known.plan.trials[0], tuned_run(known)
    from_others._same_protocol(known, trial.name, trial.config)
    with pytest.raises(UserError, match="was evaluated with evaluated_on val, but the suite tiny uses test"):
        from_others._same_protocol(known, tuned.name, trial.config)


def test_of_equals_the_first_is_best(study):
    assert best_is(-1)["best"] == 0


def test_where_the_default_is_best_its_run_is_not_trained_again(study, monkeypatch, capsys):
    best_is(0)
    known = tuned_run(Study.load())
    main(["train", str(known.twin)])
    monkeypatch.setattr("semiseg.engine.train.Training.run", None)
    main(["train", str(known.path)])
    assert "copied" in capsys.readouterr().out
    assert Study.load().runs[known.path].fresh()


def test_other_trials_make_the_choice_stale(study):
    best_is(1)
    assert Study.load().tunings["supervised"].fresh()
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["suites"]["tiny"]["tune"]["trials"] = 3
    Path("more.yaml").write_text(yaml.safe_dump(content))
    more = Study.load(path="more.yaml")
    assert not more.tunings["supervised"].fresh()
    assert not more.runs[tuned_run(more).path].fresh()


def test_a_tuned_run_without_its_trials_is_answered(study, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", str(tuned_run(Study.load()).path)])
    assert end.value.code == 2
    assert "runs the trials first" in capsys.readouterr().err


def test_the_table_lists_the_trials_and_marks_the_best(study):
    best_is(1)
    main(["report", "tables", "--suite", "tiny"])
    rows = read_json("results/tiny/tables/tuning.json")["rows"]
    assert [(row["trial"], row["val_miou"], row["gain"], row["best"]) for row in rows] == [
        (0, 50.0, 0.0, False),
        (1, 51.0, 1.0, True),
    ]
    assert rows[0]["setting"] == "default"
    assert rows[1]["setting"].startswith("optimiser.lr ")
    assert {row["iterations"] for row in rows} == {6}
    compared = read_json("results/tiny/tables/comparison.json")["rows"]
    assert [row["variant"] for row in compared] == ["default", "tuned"]


def fresh_clone(study: Path, tmp_path: Path) -> Path:
    """The study without its runs, but with the submission day-1."""
    clone = tiny.workspace(tmp_path / "clone", yaml.safe_load((study / "params.yaml").read_text()))
    for place in ("data", "results/tiny/splits"):
        shutil.copytree(study / place, clone / place, dirs_exist_ok=True)
    shutil.copytree(tmp_path / "day-1", clone / "results/tiny/submissions/day-1")
    return clone


def test_a_fresh_clone_knows_the_best_of_collected_trials(study, tmp_path, monkeypatch):
    best_is(1)
    main(["train", str(tuned_run(Study.load()).path)])
    main(["submit", "results/tiny", "--out", str(tmp_path / "day-1")])
    monkeypatch.chdir(fresh_clone(study, tmp_path))
    collected = Study.load()
    assert collected.tunings["supervised"].fresh() and read_json("results/tiny/tuning/supervised.json")["best"] == 1
    known = tuned_run(collected)
    assert known.setting != {} and collected.runs[known.path].fresh()


def test_a_tuned_run_that_equals_a_collected_default_is_there(study, tmp_path, monkeypatch):
    best_is(0)
    main(["train", str(tuned_run(Study.load()).twin)])
    shutil.rmtree(tuned_run(Study.load()).path, ignore_errors=True)
    main(["submit", "results/tiny", "--out", str(tmp_path / "day-1")])
    monkeypatch.chdir(fresh_clone(study, tmp_path))
    collected = Study.load()
    known = tuned_run(collected)
    assert known.setting == {} and collected.runs[known.path].fresh()
