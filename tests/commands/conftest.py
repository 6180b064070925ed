"""A tiny study with one trained run, for predict and export."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import tiny


def train_all() -> list[Path]:
    """Prepare, split and train the study of the current folder with the commands that the rules call."""
    from semiseg.cli import main
    from semiseg.study.study import Study

    study = Study.load()
    main(["data", "prepare", study.suite.dataset])
    for product in Study.load().splits.values():
        product.ask()
        main(["split", str(product.files[0]), "--request", str(product.request)])
    for run in study.plan.runs:
        main(["train", str(run.path)])
    return [run.path for run in study.plan.runs]


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(root of the study, folder of its run below it); tests must not change them."""
    root = tiny.workspace(
        tmp_path_factory.mktemp("finished"), tiny.params(splits={"partitions": [4]}, evaluation={"pictures": 5})
    )
    before = Path.cwd()
    os.chdir(root)
    try:
        [run] = train_all()
    finally:
        os.chdir(before)
    return root, run
