"""Submitted runs without weights replace planned runs or are shown in separate rows."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from semiseg.base.errors import UserError
from semiseg.base.files import read_json, write_json
from semiseg.cli import main
from semiseg.cluster import run_states
from semiseg.commands.collect import collect
from semiseg.commands.plan import why
from semiseg.report.records import Records
from semiseg.runs import collected, seal, spec, submission, suite_evaluations
from semiseg.runs.evaluations import Evaluations
from semiseg.runs.run_folder import RunFolder
from semiseg.study.descriptions import descriptions
from semiseg.study.study import Study
from tests import tiny
from tests.commands.conftest import train_all

METHODS = {"supervised": {}, "fixmatch": {"at": [4]}}
SETTINGS = {"splits": {"partitions": [4]}, "evaluation": {"every": 12, "lastk": 1}}


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """The root of a study on another machine, all of it trained, with its tables."""
    root = tiny.workspace(tmp_path_factory.mktemp("there"), tiny.params(METHODS, **SETTINGS))
    before = Path.cwd()
    os.chdir(root)
    try:
        train_all()
        main(["report", "tables"])
        main(["submit", "results/tiny", "--out", "day-1"])
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def here(there, tmp_path, monkeypatch):
    """The same study in a fresh clone: data and lists are made, nothing is trained."""
    root = tiny.workspace(tmp_path / "here", tiny.params(METHODS, **SETTINGS))
    shutil.copytree(there / "data", root / "data", dirs_exist_ok=True)
    shutil.copytree(there / "results/tiny/splits", root / "results/tiny/splits")
    shutil.copytree(there / "day-1", root / "day-1")
    monkeypatch.chdir(root)
    return root


def rows(study: Study) -> list[dict]:
    from semiseg.commands.report import _collected

    return _collected(study, study.folder)


def packed_again(change) -> None:
    """The submission day-1 with changed run folders, packed with valid hashes of the archive."""
    place = Path("unpacked")
    manifest = submission.read(Path("day-1"))
    submission.unpack(Path("day-1"), manifest, place, Path("results/tiny"))
    for name in manifest["runs"]:
        record = read_json(place / name / "record.json")
        write_json(place / name / "record.json", record | {"products": record.pop("collected")["products"]})
        change(place / name)
    submission.pack(Path("day-1"), "day-1", Path("results/tiny"), {name: place / name for name in manifest["runs"]})


def test_they_stand_for_the_planned_runs(there, here):
    assert not any(product.fresh() for product in Study.load().runs.values())
    assert collect(Path("day-1")) == "day-1: 2 runs; 2 equal planned runs of tiny, 0 get separate rows"
    study = Study.load()
    assert all(product.fresh() for product in study.runs.values())
    assert not list(study.folder.glob("runs/**/model.safetensors"))
    main(["report", "tables"])
    for path in (there / "results/tiny/tables").glob("*.csv"):
        assert (study.folder / "tables" / path.name).read_bytes() == path.read_bytes(), path.name
    assert {row["record"]["collected"]["source"] for row in rows(study)} == {"day-1"}


def test_what_git_has_is_taken_in_by_every_command_and_removed_with_it(here, capsys):
    shutil.copytree("day-1", "results/tiny/submissions/day-1")
    main(["plan"])
    said = capsys.readouterr().out
    assert "2 runs, 2 done, 0 left" in said
    assert "collected: 2 from day-1" in said
    main(["status", "--all"])
    assert "from day-1" in capsys.readouterr().out
    shutil.rmtree("results/tiny/submissions/day-1")
    main(["plan"])
    assert "2 runs, 0 done, 2 left" in capsys.readouterr().out


def test_a_training_looks_among_them_first(here, capsys):
    shutil.copytree("day-1", "results/tiny/submissions/day-1")
    collected.unpack(Path("results/tiny"))  # but no command has looked at the study since
    study = Study(Study.load().params)
    run = study.plan.runs[0]
    shutil.rmtree(run.path)
    study.runs[run.path].ask()
    main(["train", str(run.path), "--request", str(study.runs[run.path].request)])
    assert "collected from day-1; not trained again" in capsys.readouterr().out
    assert RunFolder(run.path).source == "day-1"


def test_two_files_without_weights(here):
    names = {path.name for path in Path("day-1").iterdir()}
    assert names == {"submission.json", "runs.tar.xz"}
    with tarfile.open("day-1/runs.tar.xz") as archive:
        assert {Path(name).name for name in archive.getnames()} == set(submission.FILES)
    manifest = read_json(Path("day-1/submission.json"))
    assert len(manifest["made_with"]) == 1
    assert all(0 < run["miou"] < 100 for run in manifest["runs"].values())


def test_pictures_on_request(there, tmp_path, monkeypatch):
    monkeypatch.chdir(there)
    main(["submit", "results/tiny", "--out", str(tmp_path / "with"), "--pictures"])
    submission.unpack(tmp_path / "with", submission.read(tmp_path / "with"), tmp_path / "place", Path("results/tiny"))
    found = list((tmp_path / "place").rglob("predictions.npz"))
    assert len(found) == 2
    ours = there / "results/tiny/runs" / found[0].relative_to(tmp_path / "place")
    with np.load(found[0]) as one, np.load(ours) as other:
        assert all(np.array_equal(one[key], other[key]) for key in other.files)


def test_other_code_is_shown_beside_ours(here):
    def other_code(path):
        carried = read_json(path / "spec.json")["spec"]
        carried["code"] |= {"semiseg.engine.train": "0" * 16}
        digest = spec.spec_sha256(carried)
        write_json(path / "spec.json", {"spec": carried, "sha256": digest})
        write_json(path / "record.json", read_json(path / "record.json") | {"spec_sha256": digest})
        told = {key: value for key, value in read_json(path / "eval.json").items() if key != "sha256"}
        write_json(path / "eval.json", seal.sealed(told | {"spec_sha256": digest}))

    packed_again(other_code)
    assert collect(Path("day-1")) == "day-1: 2 runs; 0 equal planned runs of tiny, 2 get separate rows"
    study = Study.load()
    assert not any(product.fresh() for product in study.runs.values())
    records = Records("tiny", study.folder, rows(study))
    cells = {(cell.variant, cell.method): cell for cell in records.cells()}
    theirs = cells["from day-1", "fixmatch"]
    assert theirs.state == "done"
    assert cells["default", "fixmatch"].state == "missing"
    assert records.baseline(theirs) is cells["from day-1", "supervised"]
    main(["report", "tables"])
    assert "from day-1" in (study.folder / "tables/comparison.csv").read_text()
    assert "from day-1" not in (study.folder / "tables/leaders.csv").read_text()
    assert study.assembled("tables", ()).fresh()
    shutil.rmtree("results/tiny/submissions/day-1")
    assert not Study.load().assembled("tables", ()).fresh()


def test_a_run_that_is_here_keeps_its_place(there, here):
    """The training that was packed is one row; another training of the same cell is a row beside ours."""
    collect(Path("day-1"))
    run = Study.load().plan.runs[0]
    shutil.rmtree(run.path)
    shutil.copytree(there / run.path, run.path)
    assert RunFolder(run.path).source is None
    assert sources(Study.load()) == []
    record = read_json(run.path / "record.json")
    write_json(run.path / "record.json", record | {"started": "2020-01-01T00:00:00+00:00"})
    assert sources(Study.load()) == ["from day-1"]


def sources(study):
    return [row["variant"] for row in descriptions(study) if row.get("source") == "day-1"]


def test_collected_runs_are_not_submitted_again(here, capsys):
    collect(Path("day-1"))
    with pytest.raises(SystemExit):
        main(["submit", "results/tiny", "--out", "day-2"])
    assert "none of the runs was trained here" in capsys.readouterr().err


def test_whoever_needs_weights_is_told(here, capsys):
    collect(Path("day-1"))
    run = Study.load().plan.runs[0]
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(run.path), "data/tiny/raw/JPEGImages", "--out", "out"])
    assert ended.value.code == 2
    assert "was collected from day-1 without weights" in capsys.readouterr().err


def edit(path: Path, **changes) -> None:
    write_json(path, read_json(path) | changes)


def cut(name: str) -> None:
    path = Path("day-1") / name
    path.write_bytes(path.read_bytes()[:-30])


def resealed(path: Path, change) -> None:
    told = {key: value for key, value in json.loads((path / "eval.json").read_text()).items() if key != "sha256"}
    change(told)
    write_json(path / "eval.json", seal.sealed(told))


def other_spec(path: Path, change) -> None:
    """A run as if it had been trained this way, with valid hashes."""
    carried = read_json(path / "spec.json")["spec"]
    change(carried)
    digest = spec.spec_sha256(carried)
    write_json(path / "spec.json", {"spec": carried, "sha256": digest})
    edit(path / "record.json", spec_sha256=digest)
    resealed(path, lambda told: told.update(spec_sha256=digest))


REFUSED = {
    "edited list": (lambda: edit(Path("day-1/submission.json"), source="me"), "was edited or cut"),
    "cut list": (lambda: cut("submission.json"), "is not valid JSON"),
    "cut archive": (lambda: cut("runs.tar.xz"), "was cut or changed"),
    "lost archive": (lambda: Path("day-1/runs.tar.xz").unlink(), "is missing"),
    "no submission": (lambda: shutil.rmtree("day-1"), "is not a submission"),
    "edited spec": (
        lambda: packed_again(
            lambda path: edit(path / "spec.json", spec=read_json(path / "spec.json")["spec"] | {"a": 1})
        ),
        "spec.json was edited",
    ),
    "edited log": (lambda: packed_again(lambda path: (path / "metrics.jsonl").write_text("")), "metrics.jsonl is not"),
    "score": (
        lambda: packed_again(
            lambda path: resealed(path, lambda told: told["networks"]["student"]["last"].update(miou=99.0))
        ),
        "does not follow from its confusion matrices",
    ),
    "list": (
        lambda: packed_again(lambda path: other_spec(path, lambda one: one.update(split="0" * 64))),
        "has a list of labelled images (stratified:0/4)",
    ),
    "data": (
        lambda: packed_again(lambda path: other_spec(path, lambda one: one.update(data="0" * 64))),
        "was trained on images or masks that differ",
    ),
    "protocol": (
        lambda: packed_again(
            lambda path: other_spec(path, lambda one: one["config"]["evaluation"].update(evaluated_on="val"))
        ),
        "was evaluated with evaluated_on val",
    ),
    "last": (
        lambda: packed_again(lambda path: other_spec(path, lambda one: one["config"]["recipe"].update(iterations=99))),
        "has no evaluation after its last iteration, 99",
    ),
    "method": (
        lambda: packed_again(lambda path: other_spec(path, lambda one: one["config"]["method"].update(name="magic"))),
        "magic",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_a_sentence(here, case):
    spoil, words = REFUSED[case]
    spoil()
    with pytest.raises(UserError) as refused:
        collect(Path("day-1"))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Path("results/tiny/submissions").exists()


def test_other_classes_are_refused(here):
    manifest = read_json(Path("data/tiny/manifest.json"))
    write_json(Path("data/tiny/manifest.json"), manifest | {"classes": ["cat", "dog"]})
    with pytest.raises(UserError, match="has the classes background, square, stripe, .* here has cat, dog"):
        collect(Path("day-1"))


def test_a_second_submission_of_the_same_name_is_refused(here):
    collect(Path("day-1"))
    collect(Path("day-1"))
    packed_again(lambda path: None)
    edit(Path("day-1/submission.json"), made_with=[])
    told = {key: value for key, value in read_json(Path("day-1/submission.json")).items() if key != "sha256"}
    write_json(Path("day-1/submission.json"), seal.sealed(told))
    with pytest.raises(UserError, match="holds another submission of day-1"):
        collect(Path("day-1"))


def kept_histograms(folder: Path, place: Path) -> set[tuple[str, str]]:
    submission.unpack(folder, submission.read(folder), place, Path("results/tiny"))
    found = {}
    for path in place.rglob("evaluations.npz"):
        method = path.parts[-4]
        networks = ("student", "teacher")
        evaluations = Evaluations.load(path)
        last = evaluations.iterations[-1]
        found |= {(method, one): evaluations.extra("confidence", "test", one, last) is not None for one in networks}
    return {key for key, there in found.items() if there}


def test_histograms_of_confidence(there, tmp_path, monkeypatch):
    monkeypatch.chdir(there)
    whole = kept_histograms(there / "day-1", tmp_path / "whole")
    assert whole == {("supervised", "student"), ("supervised", "teacher"), ("fixmatch", "student")}
    main(["submit", "results/tiny", "--out", str(tmp_path / "light"), "--light"])
    assert kept_histograms(tmp_path / "light", tmp_path / "place") == set()


def test_a_light_submission_in_the_repository_of_its_study(there, here):
    """It leaves out what evaluations.npz of the study holds, so it needs that file."""
    main(["submit", str(there / "results/tiny"), "--out", "results/tiny/submissions/day-1", "--light"])
    assert not any("/test/" in name for name in packed_counts(Path("results/tiny/submissions/day-1")))
    with pytest.raises(UserError, match="leaves to it; restore that file"):
        collect(Path("results/tiny/submissions/day-1"))

    shutil.copy(there / "results/tiny/evaluations.npz", "results/tiny/evaluations.npz")
    assert "2 equal planned runs" in collect(Path("results/tiny/submissions/day-1"))
    main(["report", "tables"])
    for path in (there / "results/tiny/tables").glob("*.csv"):
        if path.stem != "metrics":  # the histograms are those of the study
            assert Path("results/tiny/tables", path.name).read_bytes() == path.read_bytes(), path.name


def test_a_light_submission_outlives_a_training_of_the_same_run(there, here):
    """The study's file keeps what the submission leaves to it, also when no table shows that training any more."""
    place = Path("results/tiny")
    shutil.copy(there / "results/tiny/evaluations.npz", place / "evaluations.npz")
    main(["submit", str(there / "results/tiny"), "--out", "results/tiny/submissions/day-1", "--light"])
    collect(place / "submissions/day-1")
    shown = [row | {"eval": None} if row["method"] == "fixmatch" else row for row in rows(Study.load())]
    kept = suite_evaluations.gather(place, shown)
    [lost] = [row["run"] for row in shown if row["method"] == "fixmatch"]
    assert lost not in kept and lost.replace("runs/", "collected/day-1/") in kept
    suite_evaluations.write(place / "evaluations.npz", kept)
    for folder in ("collected", "runs"):
        shutil.rmtree(place / folder)
    assert {row["state"] for row in rows(Study.load())} == {"done"}


def test_a_submission_that_could_not_be_unpacked_is_unpacked_again(here, monkeypatch):
    place = Path("results/tiny")
    shutil.copytree("day-1", place / "submissions/day-1")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(collected, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            collected.unpack(place)
    assert [path.name for path in (place / "collected").iterdir() if path.is_dir()] == []
    collected.unpack(place)
    assert len(list(collected.runs(place))) == 2


def test_a_submission_is_not_replaced_by_a_smaller_one(there, monkeypatch, capsys):
    monkeypatch.chdir(there)
    run = next(Path("results/tiny").glob("runs/*/*/fixmatch/*/*/spec.json")).parent
    before = Path("day-1/submission.json").read_bytes()
    with pytest.raises(SystemExit):
        main(["submit", str(run), "--out", "day-1"])
    assert "day-1 holds 2 runs, of which 1 would be lost (first: tiny/" in capsys.readouterr().err
    assert Path("day-1/submission.json").read_bytes() == before


def packed_counts(folder: Path) -> set[str]:
    """The arrays of counts in an archive, as run/array."""
    found = set()
    with tarfile.open(folder / "runs.tar.xz") as archive:
        for entry in archive:
            if entry.name.endswith("evaluations.npz"):
                with np.load(io.BytesIO(archive.extractfile(entry).read())) as stored:
                    found |= {f"{entry.name}/{key}" for key in stored.files if key.endswith("/count")}
    assert found
    return found


def test_a_collected_teacher_is_trained_for_a_student_that_is_missing(there, here, monkeypatch):
    """A run whose weights are needed but missing."""
    collect(Path("day-1"))
    study = Study.load()
    student, teacher = (next(run for run in study.plan.runs if run.method == name) for name in METHODS)
    [needing] = [run for run in study.plan.runs if run.path == student.path]
    object.__setattr__(needing, "needs", {"teacher": teacher})
    assert study.runs[teacher.path].fresh()  # nobody needs weights, because the student is finished
    shutil.rmtree(student.path)
    assert not study.runs[teacher.path].fresh()
    assert [row["state"] for row in rows(study) if row["method"] == teacher.method] == ["done"]  # it is shown meanwhile
    assert "collected without weights" in why(study, str(teacher.path))
    (teacher.path / "spec.json").unlink()  # as Snakemake does before it trains a run
    [state] = [one for one in run_states.of_runs(study, None) if one.run == teacher.name]
    assert (state.state, state.note) == ("waiting", "collected without weights, which another run needs")

    content = {key: value for key, value in read_json(teacher.path / "eval.json").items() if key != "sha256"}
    content["networks"]["student"]["last"]["miou"] = 99.0  # as if another machine had trained it
    write_json(teacher.path / "eval.json", seal.sealed(content))
    request = Path("request.json")
    write_json(request, {"wanted": study.specs.sha256(teacher), "content": study.runs[teacher.path].content})
    main(["train", str(teacher.path), "--request", str(request)])
    assert RunFolder(teacher.path).source is None
    assert study.runs[teacher.path].fresh()
    assert read_json(teacher.path / "eval.json")["networks"]["student"]["last"]["miou"] < 99, "scored again"
