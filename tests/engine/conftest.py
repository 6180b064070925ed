"""A prepared tiny study to train in."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests import tiny

# Thresholds at which the untrained network's predictions teach something; state and heads of a few channels.
METHODS = {
    "advsemiseg": {"width_d": 4, "semi_start": 0.0, "t_semi": 0.1},
    "augseg": {"confidence": 0.4},
    "corrmatch": {"threshold": 0.35, "rows": 12, "width": 8},
    "cps": {},
    "cutmix_seg": {"confidence": 0.35},
    "fixmatch": {"confidence": 0.35},
    "imas": {"confidence": 0.35},
    "mean_teacher": {"ramp_up": 0},
    "rc2l": {"confidence": 0.35},
    "scl": {"ramp_up": 0, "pixels": 64},
    "st_plus_plus": {"selection": False},
    "supervised": {},
    "u2pl": {
        "supervised_share": 0.0,
        "cutmix_probability": 1.0,
        "alpha": 40.0,
        "low_rank": 1,
        "memory": 50,
        "memory_first": 60,
        "anchors": 8,
        "negatives": 4,
        "representation": 8,
    },  # fmt: skip
    "unimatch": {"confidence": 0.35},
    "unimatch_v2": {"confidence": 0.35},
}
NETWORK = {"architecture": "small", "width": 4, "queries": 5, "decoder_layers": 2, "mask_width": 32}
SGD = {"name": "sgd", "lr": 0.01, "momentum": 0.9}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Factory of workspaces whose data and lists are ready; the images are decoded once per session."""
    template = tiny.workspace(tmp_path_factory.mktemp("template"), tiny.params())
    tiny.prepare(template)

    def make(content: dict, where: Path) -> Path:
        shutil.copytree(template, where, dirs_exist_ok=True)
        import yaml

        (where / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return where

    return make


@pytest.fixture
def build(prepared, tmp_path, monkeypatch):
    """`build(method)` gives the Training of a tiny study's only run, before its first step, without lease."""

    def build(method: str = "supervised", options: dict | None = None, name: str = "work", **recipe):
        recipe = {"network": NETWORK, "batch": {"labelled": 4, "unlabelled": 4}} | recipe
        options = METHODS[method] if options is None else options
        content = tiny.params({method: {"options": options}}, splits={"partitions": [4]}, recipe=recipe)
        monkeypatch.chdir(prepared(content, tmp_path / name))
        return only_training()

    return build


def only_training():
    """Without the runs that it needs: the labels that they would give are made here."""
    from semiseg.engine import given_labels
    from semiseg.engine.train import Training
    from semiseg.feed.store import open_store
    from semiseg.runs.lease import Lease
    from semiseg.runs.run_folder import RunFolder
    from semiseg.splits.split_files import read_split
    from semiseg.study.study import Study

    study = Study.load()
    needed = {one.path for run in study.plan.runs for one in run.needs.values()}
    [run] = [run for run in study.plan.runs if run.path not in needed]
    run.path.mkdir(parents=True, exist_ok=True)
    runtime = study.suite.runtime.model_dump(mode="json")
    split = read_split(study.specs.split_file(run))
    spec = {"data": None, "split": split.sha256}
    folder, lease, data = RunFolder(run.path), Lease(run.path, "spec"), Path("data/tiny")
    if needed:
        given_labels.given(run.path, "spec", lambda: bands(open_store(data / "store"), split.unlabelled))
    return Training(run.config, spec, "spec", folder, data, split, lease, lambda text: None, runtime)


def bands(store, ids):
    """A label map for each image with all classes, which reads no mask."""
    for one in ids:
        height, width = store.size(one)
        yield one, np.repeat(np.arange(height, dtype=np.uint8) * len(tiny.CLASSES) // height, width).reshape(height, -1)


def train_steps(training, count: int) -> dict[str, float]:
    """Mean losses of the next steps."""
    for batch in training.loader.batches(training.iteration, training.iteration + count):
        training.step(batch)
    return training.meters.read()


def gradients(training) -> dict[str, torch.Tensor]:
    state = training.state
    modules = state.trained | ({"auxiliary": state.auxiliary} if state.auxiliary else {})
    return {
        f"{name}.{key}": parameter.grad.clone()
        for name, module in modules.items()
        for key, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Largest relative difference of a tensor's norm; a tensor that is nearly 0 is compared with the largest one."""
    assert one.keys() == other.keys()
    largest = max(float(value.norm()) for value in one.values())
    return max(float((one[key] - other[key]).norm() / max(one[key].norm(), 1e-3 * largest)) for key in one)


@pytest.fixture
def frozen_statistics(monkeypatch):
    """Batch norm in evaluation mode: its statistics are the one thing that depends on the part of a batch."""
    monkeypatch.setattr(nn.BatchNorm2d, "train", lambda self, mode=True: nn.Module.train(self, False))


@pytest.fixture
def trainer(prepared, tmp_path, monkeypatch):
    """`train(content)` trains the only run of a tiny study and returns its folder."""

    def train(content: dict, name: str = "work", wait: bool = True) -> Path:
        where = prepared(content, tmp_path / name)
        monkeypatch.chdir(where)
        return where / start()

    return train


def start() -> Path:
    """Train the one run of the params.yaml in the present folder."""
    from semiseg.cli import main
    from semiseg.study.study import Study

    [run] = Study.load().plan.runs
    main(["train", str(run.path)])
    return run.path


def in_child(folder: Path) -> int:
    """The same in a forked process, which can be killed: torch is imported already, so it starts at once."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.chdir(folder)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            start()
            status = 0
        except SystemExit as error:
            status = error.code or 0
        finally:
            os._exit(status)
    return child


def losses_and_scores(run: Path) -> list[dict]:
    """metrics.jsonl without what differs from one execution to the next."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
