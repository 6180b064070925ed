"""Runs that need other runs: ST++ from the command line, and a student that is distilled from its teacher's network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from semiseg.base.files import read_json, write_json
from semiseg.cli import main
from semiseg.engine.given_labels import GivenLabels
from semiseg.feed.store import open_store
from semiseg.methods import Needed
from semiseg.methods.fixmatch import FixMatch
from semiseg.methods.st_plus_plus import agreement
from semiseg.runs import collect
from semiseg.runs.run_folder import RunFolder
from semiseg.runs.spec import differences, spec_sha256
from semiseg.study.descriptions import descriptions
from semiseg.study.study import Study
from tests import tiny

RECIPE = {"iterations": 6, "network": {"architecture": "small", "width": 4}}


@pytest.fixture
def staged(prepared, tmp_path, monkeypatch):
    """A study of ST++ at 4 of 12 images; teacher, first and last student by name."""

    def make(methods=None, **changes) -> dict[str, Path]:
        methods = methods or {"st_plus_plus": {"options": {"scales": [1.0, 1.5]}}}
        content = tiny.params(methods, splits={"partitions": [4]}, recipe=RECIPE, **changes)
        monkeypatch.chdir(prepared(content, tmp_path / "work"))
        return {f"{run.method}/{run.variant}": run.path for run in Study.load().plan.runs}

    return make


def train(path: Path) -> int:
    try:
        main(["train", str(path)])
    except SystemExit as error:
        return error.code
    return 0


def rows() -> dict[str, dict]:
    found = collect.collect("results/tiny", descriptions(Study.load()))
    return {f"{row['method']}/{row['variant']}": row for row in found}


def test_each_stage_learns_from_the_one_before(staged, capsys):
    paths = staged()
    teacher, first, last = (
        paths[f"{name}"] for name in ("supervised/default", "st_plus_plus/stage=first", "st_plus_plus/default")
    )
    assert len(paths) == 3, "teacher and first student are trained, though no cell shows them"

    # By hand, in the wrong order: one sentence, and nothing is begun.
    assert train(last) == 2
    said = capsys.readouterr().err
    assert f"its first student {first} is not trained yet; train it first with `semiseg train {first}`" in said
    assert not (last / "record.json").exists()
    assert [train(path) for path in (teacher, first, last)] == [0, 0, 0]

    unlabelled = read_json("results/tiny/splits/stratified-0-4.json")["unlabelled"]
    given = {path: GivenLabels(path) for path in (first, last)}
    assert set(given[last]) == set(unlabelled) and len(given[first]) == len(unlabelled) // 2
    store = open_store("data/tiny/store")
    for one in given[first]:
        assert np.array_equal(given[first][one], given[last][one]), "reliable images keep the teacher's labels"
        assert given[first][one].shape == store.size(one)

    # Specs chain: each holds the hash of what it was made from.
    hashes = {path: RunFolder(path).spec_sha256 for path in (teacher, first, last)}
    assert RunFolder(first).spec["needs"] == {"teacher": hashes[teacher]}
    assert RunFolder(last).spec["needs"] == {"first_student": hashes[first]}
    assert "needs" not in RunFolder(teacher).spec
    assert all(product.fresh() for product in Study.load().runs.values())
    assert {name: row["state"] for name, row in rows().items()} == dict.fromkeys(rows(), "done")
    assert rows()["st_plus_plus/stage=first"]["cells"] == []


def test_the_most_stable_images_come_first(staged):
    """Against the definition: mIoU of earlier and last predictions, averaged, image by image."""
    paths = staged()
    teacher, first = paths["supervised/default"], paths["st_plus_plus/stage=first"]
    assert (train(teacher), train(first)) == (0, 0)
    from semiseg.engine.needed import NeededRun
    from semiseg.hardware.device import Speed

    evaluation = RunFolder(teacher).spec["config"]["evaluation"]
    speed = Speed({"plain": True, "precision": "fp32", "compile": False}, torch.device("cpu"))
    run = NeededRun(teacher, open_store("data/tiny/store"), evaluation, speed, print)
    ids = read_json("results/tiny/splits/stratified-0-4.json")["unlabelled"]
    maps = {name: dict(run.predictions(ids, name)) for name in ("snapshot1", "snapshot2", "student")}
    assert not all(np.array_equal(maps["snapshot1"][one], maps["student"][one]) for one in ids)

    def stability(one: str) -> float:
        found = []
        for earlier in ("snapshot1", "snapshot2"):
            a, b = maps[earlier][one], maps["student"][one]
            classes = [c for c in range(3) if (a == c).any() or (b == c).any()]
            found.append(np.mean([((a == c) & (b == c)).sum() / ((a == c) | (b == c)).sum() for c in classes]))
        return float(np.mean(found))

    ranked = sorted(ids, key=lambda one: (-stability(one), one))
    assert set(GivenLabels(first)) == set(ranked[: len(ids) // 2])
    # Labels are means over scales and mirror images of the teacher's probabilities.
    expected = dict(run.predictions(ids, scales=(1.0, 1.5), flip=True))
    assert all(np.array_equal(label, expected[one]) for one, label in GivenLabels(first).items())


def test_a_changed_teacher_makes_its_students_stale(staged):
    paths = staged({"st_plus_plus": {"variants": ["st"]}})
    teacher, student = paths["supervised/default"], paths["st_plus_plus/st"]
    assert (train(teacher), train(student)) == (0, 0)
    before = RunFolder(student).spec
    content = tiny.params({"st_plus_plus": {"variants": ["st"]}}, splits={"partitions": [4]}, recipe=RECIPE)
    content["methods"]["supervised"] = {"cutmix_probability": 0.25}
    Path("params.yaml").write_text(json.dumps(content))
    study = Study.load()
    assert not any(product.fresh() for product in study.runs.values())
    [run] = [run for run in study.plan.runs if run.method == "st_plus_plus"]
    assert differences(before, study.specs.wanted(run)) == [
        "parameter needs.teacher.config.method.options.cutmix_probability: 0.5 -> 0.25"
    ]
    changed = study.specs.wanted(run) | {"config": before["config"]}
    assert differences(before, changed) == ["the needed run teacher changed"]


def test_a_new_key_at_its_default_makes_no_stage_stale(staged, capsys):
    """Three stages that were trained before `recipe.engine.deterministic` and `cutmix_probability` existed."""
    paths = staged()
    stages = [paths[name] for name in ("supervised/default", "st_plus_plus/stage=first", "st_plus_plus/default")]
    assert [train(path) for path in stages] == [0, 0, 0]
    study = Study.load()
    assert all(product.fresh() for product in study.runs.values())
    older: dict[Path, str] = {}
    for path in stages:
        carried = RunFolder(path).spec
        _without_keys(carried["config"])
        carried |= (
            {"needs": {name: older[stages[stages.index(path) - 1]] for name in carried["needs"]}} if older else {}
        )
        older[path] = spec_sha256(carried)
        write_json(path / "record.json", read_json(path / "record.json") | {"spec_sha256": older[path]})
        write_json(path / "spec.json", {"spec": carried, "sha256": older[path]})
    study = Study.load()
    assert all(product.fresh() for product in study.runs.values())
    # A stage that is trained again finds the older one in order.
    (stages[2] / "spec.json").unlink()
    (stages[2] / "record.json").unlink()
    assert train(stages[2]) == 0


def _without_keys(config: dict) -> None:
    del config["recipe"]["engine"]["deterministic"]
    config["method"]["options"].pop("cutmix_probability", None)
    for needed in config.get("needs", {}).values():
        _without_keys(needed["config"])


def test_students_of_a_failed_teacher_are_not_run(staged, capsys):
    paths = staged()
    teacher = paths["supervised/default"]
    sha256 = Study.load().specs.sha256(next(run for run in Study.load().plan.runs if run.path == teacher))
    teacher.mkdir(parents=True)
    write_json(teacher / "record.json", {"state": "failed", "spec_sha256": sha256, "error": {"message": "no memory"}})
    states = {name: (row["state"], row["reason"]) for name, row in rows().items()}
    assert states["supervised/default"][0] == "failed"
    assert (
        states["st_plus_plus/default"] == states["st_plus_plus/stage=first"] == ("missing", "not run: teacher failed")
    )
    assert train(paths["st_plus_plus/stage=first"]) == 2
    assert f"its teacher {teacher} failed (no memory); fix the cause" in capsys.readouterr().err


def test_an_interrupted_student_keeps_its_labels(staged, monkeypatch):
    """A resumed training equals an uninterrupted one bit for bit."""
    paths = staged({"st_plus_plus": {"variants": ["st"]}})
    teacher, student = paths["supervised/default"], paths["st_plus_plus/st"]
    assert (train(teacher), train(student)) == (0, 0)
    undisturbed = {name: (student / name).read_bytes() for name in ("model.safetensors", "labels.npz")}
    for name in ("spec.json", "record.json", "model.safetensors", "labels.npz"):
        (student / name).unlink()

    from semiseg.engine.train import Training

    step, made = Training.step, []
    monkeypatch.setattr(Training, "step", lambda self, batch: _stop(self) if self.iteration == 4 else step(self, batch))
    assert train(student) != 0
    made.append((student / "labels.npz").stat().st_mtime_ns)
    monkeypatch.setattr(Training, "step", step)
    assert train(student) == 0
    assert (student / "labels.npz").stat().st_mtime_ns == made[0]
    assert undisturbed == {name: (student / name).read_bytes() for name in undisturbed}


def _stop(training) -> None:
    raise KeyboardInterrupt


def test_snapshots_survive_a_resume(staged, monkeypatch):
    paths = staged({"supervised": {}})
    [path] = paths.values()
    assert train(path) == 0
    undisturbed = (path / "model.safetensors").read_bytes()
    for name in ("spec.json", "record.json", "model.safetensors"):
        (path / name).unlink()
    from semiseg.engine.train import Training

    step = Training.step
    monkeypatch.setattr(Training, "step", lambda self, batch: _stop(self) if self.iteration == 4 else step(self, batch))
    assert train(path) != 0 and (path / "checkpoint.pt").exists()
    monkeypatch.setattr(Training, "step", step)
    assert train(path) == 0
    assert (path / "model.safetensors").read_bytes() == undisturbed


def test_another_method_may_need_a_teachers_network(staged, monkeypatch):
    """A distilled student: it uses the teacher's predictions during training, and has no label maps."""
    seen = []

    def losses(self, batch, step):
        teacher = step.needed["teacher"](batch.unlabelled).logits
        seen.append(teacher.requires_grad)
        student = step.student(batch.unlabelled).logits
        loss = torch.nn.functional.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")
        return {"distilled": loss}

    monkeypatch.setattr(FixMatch, "needs", classmethod(lambda cls, options: {"teacher": Needed("supervised")}))
    monkeypatch.setattr(FixMatch, "losses", losses)
    paths = staged({"fixmatch": {}})
    assert set(paths) == {"fixmatch/default", "supervised/default"}
    assert train(paths["fixmatch/default"]) == 2
    assert [train(paths[name]) for name in ("supervised/default", "fixmatch/default")] == [0, 0]
    assert seen == [False] * RECIPE["iterations"]
    assert not (paths["fixmatch/default"] / "labels.npz").exists()


def test_agreement_is_the_mean_over_classes_that_occur():
    one, other = np.array([[0, 0], [2, 2]], np.uint8), np.array([[0, 2], [2, 2]], np.uint8)
    assert agreement(one, other, 5) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert agreement(one, one, 5) == 1
