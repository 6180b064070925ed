"""A method, a kind of data set, an architecture and a metric of the user's: trained, and found in the tables."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests import tiny
from tests.workflow.conftest import REPOSITORY, Workspace

METHOD = '''
"""Supervised, with half of the loss."""
from semiseg.methods import Method


class Half(Method):
    names = ("half",)
    title = "Half"
    uses_unlabelled = False

    def losses(self, batch, step):
        return {"supervised": 0.5 * step.supervised(step.student(batch.image), batch.label)}
'''
KIND = '''
from semiseg.datasets.kind import OwnKind
from semiseg.datasets.kinds import pocket


class Mirrored(OwnKind):
    """The layout of pocket, with classes of other names."""
    names = ("mirrored",)
    has_test_set = True
    background = 0

    @classmethod
    def read(cls, name, config, source, prepared):
        from dataclasses import replace
        dataset = pocket.Pocket.read(name, config, source, prepared)
        return replace(dataset, classes=tuple(f"my {one}" for one in dataset.classes))
'''
ARCHITECTURE = """
from semiseg.models.architecture import Architecture
from semiseg.models.architectures.small import Small


class Wide(Small):
    names = ("wide",)

    @classmethod
    def parts(cls, config, classes):
        return Small.parts(config.model_copy(update={"width": 2 * config.width}), classes)
"""
METRIC = """
import numpy as np

from semiseg.scoring.metric import Metric


class PixelAccuracy(Metric):
    names = ("pixel_accuracy",)
    title = "pixel accuracy"
    help = "share of labelled pixels that are right"

    @classmethod
    def table(cls, per_image):
        return np.stack([np.trace(per_image, axis1=1, axis2=2), per_image.sum((1, 2))], 1).astype(float)

    @classmethod
    def score(cls, weights, table):
        right, all_of_them = (weights @ table).T
        return 100 * right / all_of_them
"""
FILES = {"method": METHOD, "kind": KIND, "architecture": ARCHITECTURE, "metric": METRIC}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Workspace:
    """One study that uses all four."""
    recipe = {"iterations": 4, "network": {"architecture": "wide", "width": 4}}
    evaluation = {"every": 4, "selected_on": None, "lastk": 1}
    methods = {"half": {"at": [4]}, "supervised": {"at": [4]}}
    content = tiny.params(methods, recipe=recipe, splits={"partitions": [4]}, evaluation=evaluation)
    content["plugins"] = [f"{name}.py" for name in FILES]
    root = tmp_path_factory.mktemp("plugins") / "study"
    content["datasets"]["tiny"] = {"kind": "mirrored", "data_root": "data/tiny/raw"}
    tiny.with_workflow(tiny.workspace(root, content), REPOSITORY)
    for name, text in FILES.items():
        (root / f"{name}.py").write_text(text)
    work = Workspace(root)
    outcome = work.snakemake("tables")
    assert outcome.code == 0, outcome.text
    return work


def rows(work: Workspace, table: str = "comparison") -> dict[str, dict]:
    found = pd.read_csv(work.folder / f"tables/{table}.csv").to_dict("records")
    return {row["method"]: row for row in found}


def code(work: Workspace, method: str) -> dict[str, str]:
    [path] = work.folder.glob(f"runs/*/*/{method}/*/*/spec.json")
    return json.loads(path.read_text())["spec"]["code"]


def test_a_method(work):
    assert rows(work)["half"]["state"] == "done"
    assert "semiseg_plugins.method" in code(work, "half")
    assert "semiseg_plugins.method" not in code(work, "supervised"), "it is hashed into the runs that use it alone"


def test_a_kind_of_data_set(work):
    manifest = json.loads((work.root / "data/tiny/manifest.json").read_text())
    assert manifest["kind"] == "mirrored"
    assert manifest["classes"][0] == "my background"
    assert "semiseg_plugins.kind" not in code(work, "half"), "it counts as data"


def test_an_architecture(work):
    records = [json.loads(path.read_text()) for path in work.folder.glob("runs/*/*/*/*/*/record.json")]
    assert len({record["parameters"] for record in records}) == 1
    assert "semiseg_plugins.architecture" in code(work, "supervised")
    assert rows(work)["supervised"]["encoder"] == "wide"


def test_a_metric(work):
    row = rows(work, "metrics")["half"]
    assert 0 <= row["pixel_accuracy_mean"] <= 100
    assert "semiseg_plugins.metric" not in code(work, "half")
