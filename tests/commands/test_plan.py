from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from semiseg.cli import main
from semiseg.cluster import budget
from semiseg.commands import plan
from semiseg.params.schema import Params
from semiseg.runs.run_folder import PRODUCTS, RunFolder
from semiseg.study.study import Study
from tests import tiny


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    monkeypatch.chdir(tmp_path)
    content = tiny.params({"supervised": {}, "fixmatch": {}})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    return Study(Params.model_validate(content))


def finish(study: Study, run, seconds: float = 120.0) -> None:
    """A run folder as after a training, with all files that the plan reads."""
    spec = study.specs.wanted(run)
    run.path.mkdir(parents=True)
    for name in PRODUCTS:
        (run.path / name).touch()
    (run.path / "spec.json").write_text(json.dumps({"spec": spec, "sha256": study.runs[run.path].wanted()}))
    (run.path / "model.safetensors").write_bytes(bytes(1_000_000))
    products = RunFolder(run.path).products()
    record = {"state": "done", "wall_seconds": seconds, "gpu_seconds": 0.0, "products": products}
    (run.path / "record.json").write_text(json.dumps(record))


def text(study: Study) -> str:
    return str(plan.overview(study, "a100")[1])


def test_nothing_done_is_all_estimate_and_starts_nothing(study, tmp_path):
    said = text(study)
    assert "3 runs, 0 done, 3 left" in said and "(estimate)" in said and "1 that do not apply (with all labels" in said
    assert "done:" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("device, shown", [("a100", True), ("cpu", False)])
def test_what_a_job_requests_is_shown_for_a_cluster_only(study, device, shown):
    table, totals = plan.overview(study, device)
    assert [column.header for column in table.columns][-2:] == (["requests", "job"] if shown else ["each", ""])
    assert ("on a cluster: 1 jobs" in totals) == shown


def test_what_was_measured_is_preferred(study):
    supervised = [run for run in study.plan.runs if run.method == "supervised"]
    finish(study, supervised[0])
    costs = budget.of_runs(study, [supervised[0].path])
    assert {costs[run.path].source for run in supervised} == {"measured"}
    assert {costs[run.path].seconds for run in supervised} == {120.0}
    assert {costs[run.path].source for run in study.plan.runs if run.method == "fixmatch"} == {"estimate"}
    said = text(study)
    assert "3 runs, 1 done, 2 left" in said and "done: 0.03 hours on CPU cores, 1.0 MB of results (measured)" in said
    assert "(partly estimate)" in said


def test_why_names_the_parameter_that_changed(study):
    run = study.plan.runs[0]
    assert "has not been trained" in plan.why(study, str(run.path))
    finish(study, run)
    assert "is done" in plan.why(study, str(run.path))
    other = Study(Params.model_validate(tiny.params({"supervised": {}, "fixmatch": {}}, recipe={"iterations": 13})))
    assert "recipe.iterations: 12 -> 13" in plan.why(other, f"{run.path}/")


def test_an_unknown_run_is_answered_with_the_nearest(study):
    from semiseg.base.errors import UserError

    with pytest.raises(UserError, match="did you mean"):
        plan.why(study, str(study.plan.runs[0].path).replace("seed0", "seed7"))


def test_groups_make_few_jobs_of_many_short_trainings(study):
    asked = [study.needs[run.path] for run in study.plan.runs]
    assert budget.jobs(asked * 67, group_size=16) == 13


def test_the_calendar_of_several_devices():
    assert budget.days([86400.0] * 4, 1) == 4
    assert budget.days([86400.0] * 4, 3) == 2
    assert budget.days([3 * 86400.0, 86400.0, 86400.0], 8) == 3


def test_why_looks_in_the_suite_that_the_path_names(study, capsys):
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["suites"]["other"] = content["suites"]["tiny"]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    main(["plan", "--why", str(study.plan.runs[0].path).replace("results/tiny", "results/other")])
    assert "results/other" in capsys.readouterr().out
