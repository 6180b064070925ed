"""`dvc repro` and `snakemake` make the same results, in either order, and nothing twice."""

from __future__ import annotations

import json

import pytest

from tests import cpu
from tests.dvc.clone import ABLATION, COMPARISON


def test_from_nothing_and_again(first_repro):
    made, outcome = first_repro
    assert outcome.trainings == 3
    assert set(made.trained()) == {*COMPARISON, ABLATION}
    before = cpu.of_children()
    again = made.repro()
    assert cpu.of_children() - before < 15
    assert "Running stage" not in again.text
    assert made.is_clean()


def test_one_parameter_under_either_driver_and_what_dvc_says_of_it(origin, work):
    before = work.trained()
    work.change("fixmatch", confidence=0.9)
    by_snakemake = work.snakemake()
    assert by_snakemake.trainings == 1
    after = work.trained()
    assert {run for run in after if after[run] != before[run]} == {"fixmatch/default"}

    # Snakemake was first: DVC finds everything made.
    repro = work.repro()
    assert repro.jobs("train", "evaluate", "tables", "plots", "report") == 0
    assert work.trained() == after
    assert "up to date" in work.must("dvc", "status").text

    differs = json.loads(work.must("dvc", "params", "diff", "--json").text)["params.yaml"]
    assert list(differs) == ["suites.tiny.methods.fixmatch.options.confidence"]
    metrics = json.loads(work.must("dvc", "metrics", "diff", "--all", "--json").text)
    named = metrics["results/tiny/metrics/summary.json"]
    assert {"miou.stratified:0 4.supervised", "miou.stratified:0 4.fixmatch", "ablations.threshold.0.5"} <= set(named)
    assert named["miou.stratified:0 4.fixmatch"]["old"] != named["miou.stratified:0 4.fixmatch"]["new"]
    plots = json.loads(work.must("dvc", "plots", "diff", "--json").text)["data"]
    [curve] = plots["results/tiny/metrics/label_efficiency.csv"]
    drawn = curve["content"]["data"]["values"]
    assert {(one["rev"], one["series"]) for one in drawn} == {
        (version, method) for version in ("HEAD", "workspace") for method in ("supervised", "fixmatch")
    }
    [arms] = plots["results/tiny/metrics/ablations.csv"]
    assert {one["arm"] for one in arms["content"]["data"]["values"]} == {"0.5"}

    # And the other way round: back to the former value under DVC.
    work.change("fixmatch", confidence=0.8)
    by_dvc = work.repro()
    assert by_dvc.trainings == 1
    assert work.tables() == origin.tables()
    assert "Nothing to be done" in work.snakemake().text


def test_code_that_matters_and_code_that_does_not(work):
    base = work.root / "src/semiseg"
    harmless = {"methods/fixmatch.py": "\n# a comment\n", "report/plots/__init__.py": "\n\nUNUSED = 1\n"}
    for name, more in harmless.items():
        (base / name).write_text((base / name).read_text() + more)
    trained = work.trained()
    repro = work.repro()
    assert repro.jobs("train", "evaluate", "tables") == 0
    assert repro.jobs("plots") == 1
    assert work.trained() == trained

    # A correction of the scores: everything is scored anew, and nothing trained.
    (base / "scoring/selection.py").write_text((base / "scoring/selection.py").read_text() + "\nUNUSED = 1\n")
    repro = work.repro()
    assert repro.jobs("train") == 0
    assert repro.jobs("evaluate") == 1
    assert repro.jobs("tables", "plots", "report") == 3
    assert work.trained() == trained

    (base / "methods/fixmatch.py").write_text((base / "methods/fixmatch.py").read_text() + "\nUNUSED = 1\n")
    assert work.snakemake("--dry-run", "all").planned("train") == 2
    path = work.path_of("fixmatch/default").relative_to(work.root)
    why = work.must("semiseg", "plan", "--why", str(path)).text
    assert "code changed in src/semiseg/methods/fixmatch.py" in why
    assert "is done" in work.must("semiseg", "plan", "--why", str(path).replace("fixmatch", "supervised")).text


def test_an_older_commit_and_back(origin, work):
    work.change("fixmatch", confidence=0.9)
    work.repro()
    new, tables, trained = work.commit("a higher threshold"), work.tables(), work.trained()
    assert tables != origin.tables()
    for commit, expected, there in (("HEAD~1", origin.tables(), origin.trained()), (new, tables, trained)):
        work.must("git", "checkout", "--quiet", commit)
        work.must("dvc", "checkout")
        assert work.repro().trainings == 0
        assert work.tables() == expected
        assert work.trained() == there
        assert "up to date" in work.must("dvc", "status").text


def test_an_experiment_in_the_workspace_and_why_not_elsewhere(work):
    before = work.trained()
    option = "suites.tiny.methods.fixmatch.options.confidence"
    done = work.must("dvc", "exp", "run", "--name", "high", "--set-param", f"{option}=0.9")
    assert done.trainings == 1
    after = work.trained()
    assert {run for run in after if after[run] != before[run]} == {"fixmatch/default"}
    [shown] = json.loads(work.must("dvc", "exp", "diff", "--json").text)["params"].values()
    assert shown[option] == {"old": 0.8, "new": 0.9, "diff": pytest.approx(0.1)}

    # Experiments of the queue run in such a copy, too; the queue's own process is DVC's.
    elsewhere = work.run("dvc", "exp", "run", "--temp", "--set-param", f"{option}=0.7")
    assert elsewhere.code != 0 and "with --temp or --queue works in a copy of the repository" in elsewhere.text
    assert work.trained() == after


def test_the_package_of_another_clone_is_refused(work, tmp_path):
    (tmp_path / "other").mkdir()
    command = ["env", f"PYTHONPATH={work.root / 'src'}", "snakemake", "--profile", "local", "--dry-run"]
    (work.root / "src").rename(tmp_path / "other/src")
    (work.root / "src/semiseg").mkdir(parents=True)
    command[1] = f"PYTHONPATH={tmp_path / 'other/src'}"
    refused = work.run(*command)
    assert refused.code == 2
    assert "not from this folder" in refused.text
