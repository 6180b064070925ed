"""A prepared tiny study to train in."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Factory of workspaces whose data and lists are ready; the images are decoded once per session."""
    template = tiny.workspace(tmp_path_factory.mktemp("template"), tiny.params())
    _prepare(template)

    def make(content: dict, where: Path) -> Path:
        shutil.copytree(template, where, dirs_exist_ok=True)
        import yaml

        (where / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return where

    return make


def _prepare(root: Path) -> None:
    from semiseg.data import prepare, split_files
    from semiseg.data.store import open_store
    from semiseg.study import Study

    before = Path.cwd()
    os.chdir(root)
    try:
        study = Study.load()
        settings = study.params.datasets["tiny"]
        prepare.prepare("tiny", settings)
        store = open_store(root / "data/tiny/store")
        for product in study.splits.values():
            wanted = product.content
            sha256 = prepare.data_sha256("tiny")
            split_files.write_split(
                product.files[0], wanted["family"], wanted["partition"], store, "tiny", "pocket", sha256
            )
    finally:
        os.chdir(before)


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
    from semiseg.study import Study

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
