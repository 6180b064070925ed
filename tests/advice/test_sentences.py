"""The five sentences, from simulated evaluations whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from semiseg.advice import sentences, trial
from semiseg.base.errors import UserError
from semiseg.cli import main
from semiseg.params import loading, local
from semiseg.runs.evaluations import Evaluations
from semiseg.runs.run_folder import PRODUCTS
from semiseg.study.study import Study
from tests import tiny

CLASSES = ("soil", "crop", "weed")
PIXELS = np.array([9000, 950, 50])  # of each image


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    methods = {"supervised": {"variants": ["default", "strong"]}, "fixmatch": {}, "unimatch": {}}
    splits = {"family": "random:0", "partitions": ["1/2", "full"]}
    content = tiny.params(methods, dataset="own", seeds=[0, 1, 2], splits=splits, evaluation={"evaluated_on": "val"})
    tried = content["suites"].pop("tiny")
    content["suites"] = {"other": tried}
    content |= {"suite": "other", "dataset": "own", "datasets": {"own": {"kind": "folder", "data_root": "own"}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    final = tried | {"methods": {"fixmatch": {}}, "seeds": [0]}
    local.write({"suites": {"own_try": tried, "own_final": final}})
    return tmp_path


def simulate(quality, images: int = 40, noise: float = 0.002, few: float = 0.0, others: int = 9) -> None:
    """Runs of the suite own_try with a share of right pixels per method, and `others` images without a mask.

    With half of the labels the share is lower by `few`.
    """
    study = Study.load("own_try")
    for run in study.plan.runs:
        path = study.specs.split_file(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        count = 16 if run.partition == "full" else 8
        names = {"labelled": list(map(str, range(count))), "unlabelled": list(map(str, range(count, 16)))}
        path.write_text(json.dumps(names | {"sha256": run.partition}))
    manifest = {"sha256": "d", "made_from": {"code": "c"}, "subsets": {"extra": {"images": others}}}
    Path("data/own").mkdir(parents=True, exist_ok=True)
    Path("data/own/manifest.json").write_text(json.dumps(manifest))
    random = np.random.default_rng(0)
    hardness = random.normal(0, 0.02, images)  # common to all methods
    for run in study.plan.runs:
        kind = run.method if run.variant == "default" else f"{run.method} {run.variant}"
        right = quality[kind] - (few if run.partition == "1/2" else 0) + random.normal(0, noise)
        matrices = np.zeros((images, 3, 3), np.int64)
        for k, count in enumerate(PIXELS):
            share = np.clip(right + hardness + random.normal(0, 0.005, images) - (0.6 if k == 2 else 0), 0.01, 1)
            matrices[:, k, k] = np.rint(share * count)
            matrices[:, k, (k + 1) % 3 if k == 0 else 0] = count - matrices[:, k, k]
        found = Evaluations(CLASSES, {}, {"val": [str(k) for k in range(images)]})
        for network in ("student", "teacher"):
            found.add(12, "val", network, matrices)
        run.path.mkdir(parents=True)
        for name in PRODUCTS:
            (run.path / name).touch()
        found.save(run.path / "evaluations.npz")
        (run.path / "spec.json").write_text(json.dumps({"spec": {"config": run.config}, "sha256": "x"}))
        seconds = 100.0 if run.method == "supervised" else 250.0
        (run.path / "record.json").write_text(json.dumps({"state": "done", "wall_seconds": seconds}))


def told() -> dict[str, str]:
    lines = sentences.advise(trial.load("own"))
    assert len(lines) == 5
    return {line.split(":")[0]: line for line in lines}


CLEAR = {"supervised": 0.80, "supervised strong": 0.82, "fixmatch": 0.85, "unimatch": 0.90}
EQUAL = dict.fromkeys(CLEAR, 0.85)


def test_a_method_that_helps_is_named_with_its_interval_and_cost(root):
    simulate(CLEAR, few=0.05)
    lines = told()
    assert "unimatch helps on your images: supervised (strong) reaches" in lines["Method"]
    assert "takes 2.5 times as long" in lines["Method"] and " to +" in lines["Method"]
    assert "from 8 to 16 labels unimatch changes by +" in lines["Labels"]
    assert "from 32 labels, and nothing can be said beyond that" in lines["Labels"]
    assert "weed" in lines["Classes"] and "rare, 0.5 % of the pixels" in lines["Classes"]
    assert "% of its pixels are predicted as soil" in lines["Classes"]
    assert "`semiseg advise own --label 20`" in lines["Next"] and "missing" not in lines["Next"]
    assert "train unimatch for good: `semiseg advise own --write`" in lines["Next"]
    written = sentences.advise(trial.load("own"), written=True)[-1]
    assert "--write" not in written and "`semiseg predict RUN FOLDER --out predictions`" in written


def test_trainings_are_paired_by_list_and_seed(root):
    several = {"splits": {"family": ["random:0", "random:1"], "partitions": ["1/2", "full"]}}
    local.write({"suites": {"own_try": loading.load().model_dump(mode="json")["suites"]["own_try"] | several}})
    simulate(CLEAR, noise=0)
    found = trial.load("own")
    half = {one.name: one for one in found.at("1/2")}
    assert len(half) == 4 and half["supervised"].drawn == tuple((f"random:{k}", s) for k in (0, 1) for s in (0, 1, 2))
    whole = found.difference(half["unimatch"], half["supervised"])
    for run in half["unimatch"].runs[:2]:
        (run / "evaluations.npz").unlink()
    fewer = trial.load("own")
    method, base = (next(one for one in fewer.at("1/2") if one.name == name) for name in ("unimatch", "supervised"))
    assert method.drawn == half["unimatch"].drawn[2:] and set(fewer.pairs(method, base)) == set(method.drawn)
    assert whole.covers == "seeds+lists+images" and fewer.difference(method, base).n == 4
    full = next(one for one in fewer.at("full") if one.name == "supervised")
    assert set(fewer.pairs(full, base)) == set(base.drawn), "the one list of all labels is the partner of both lists"
    lost = {"supervised": ("seed2",), "unimatch": ("seed0", "seed1")}
    for one in fewer.at("full"):
        for run in one.runs:
            if run.name in lost.get(one.name, ()):
                (run / "evaluations.npz").unlink()
    with pytest.raises(UserError, match="supervised have no finished training with the same seed"):
        few = {one.name: one for one in trial.load("own").at("full")}
        found.difference(few["unimatch"], few["supervised"])


def test_no_difference_is_not_made_into_one(root):
    simulate(EQUAL, noise=0.01)
    lines = told()
    assert (
        "no method helps for certain" in lines["Method"]
        and "would not be seen with 40 validation images" in lines["Method"]
    )
    assert "this trial cannot tell" in lines["Labels"]
    assert "train supervised" in lines["Next"]


def test_three_validation_images_cannot_tell(root):
    simulate(CLEAR, images=3, few=0.1)
    lines = told()
    assert "with 3 validation images this may be chance" in lines["Method"]
    assert "with 3 validation images this may be chance" in lines["Labels"]
    assert "rather fit these images" in lines["Tuning"]


def test_one_validation_image_gives_no_traceback(root):
    simulate(CLEAR, images=1)
    assert "one validation image" in told()["Method"]


def test_runs_that_are_missing_are_asked_for(root):
    simulate(CLEAR)
    study = Study.load("own_try")
    lost = next(run for run in study.plan.runs if run.method == "fixmatch")
    (lost.path / "spec.json").unlink()
    assert f"1 of {len(study.plan.runs)} runs are missing" in told()["Next"]
    for run in study.plan.runs:
        if run.method == "supervised":
            (run.path / "spec.json").unlink()
    with pytest.raises(UserError, match="has no finished supervised run to compare with"):
        told()


def test_where_every_image_has_a_mask_the_final_training_is_supervised(root, capsys):
    """The methods learn from half of the masks; the final training has no image without a mask to learn from."""
    simulate(CLEAR, others=0)
    main(["advise", "own", "--write"])
    said = capsys.readouterr().out
    assert "train supervised (strong) for good" in said and "--label" not in said
    assert "now trains supervised (strong)" in said


def test_what_cannot_be_written_is_not_offered(root):
    simulate(CLEAR)
    tried = loading.read_yaml(Path("params.local.yaml"))["suites"]["own_try"]
    Path("params.local.yaml").write_text(yaml.safe_dump({"suites": {"own_try": tried}}))
    assert "--write" not in told()["Next"] and "--label 20" in told()["Next"]


@pytest.mark.parametrize("name", ["own", "own_try"])
def test_the_method_that_helps_is_written_into_the_final_suite(root, capsys, name):
    simulate(CLEAR)
    main(["advise", name, "--write"])
    assert "the suite own_final in params.local.yaml now trains unimatch" in capsys.readouterr().out
    assert list(loading.load(suite="own_final").suites["own_final"].methods) == ["unimatch"]
