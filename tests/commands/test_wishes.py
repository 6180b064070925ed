"""Finished runs whose requested spec has changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from semiseg.cli import main
from semiseg.study.study import Study


@pytest.fixture
def wish(finished, tmp_path, monkeypatch):
    """Set the number of iterations and request the run like Snakemake; returns the product."""
    root, run = finished
    shutil.copytree(root, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    Path(run, "spec.json").touch()  # finished just now, however long ago this process trained it

    def ask(iterations: int):
        raw = yaml.safe_load(Path("params.yaml").read_text())
        raw["suites"]["tiny"]["recipe"]["iterations"] = iterations
        Path("params.yaml").write_text(yaml.safe_dump(raw))
        product = Study.load().runs[run]
        return product, product.ask()

    return ask


def test_what_was_finished_just_now_for_another_wish_cannot_become_newer_than_the_request(wish, capsys):
    product, fresh = wish(13)
    [spec] = product.files
    assert not fresh and not spec.exists()
    # And nothing is lost: wanted again, it comes back without a training.
    product, fresh = wish(12)
    assert not fresh
    main(["train", str(spec.parent), "--request", str(product.request)])
    assert "finished already" in capsys.readouterr().out
    assert product.fresh()


def test_what_has_been_there_for_long_stays(wish):
    product, fresh = wish(12)
    assert fresh  # and has the time of its place in the chain now
    assert not wish(13)[1]
    assert product.files[0].exists()
