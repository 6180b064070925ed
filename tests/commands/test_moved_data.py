"""Moved data and masks edited after a training: which data are recognised, and which runs become stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from semiseg.cli import main
from semiseg.study.study import Study
from tests import tiny
from tests.commands.conftest import train_all
from tests.datasets import dataset_trees as trees


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of a folder of six images with a list of val; its one run is trained."""
    root = tmp_path_factory.mktemp("moved")
    for number in range(6):
        trees.save(root / f"own/images/{number}.png", trees.rgb(number, (32, 32)))
        trees.save(root / f"own/masks/{number}.png", trees.label(number, 3, (32, 32)))
    (root / "own/classes.yaml").write_text("[a, b, c]")
    (root / "lists").mkdir()
    (root / "lists/val.txt").write_text("5\n")
    content = tiny.params(
        dataset="own", splits={"family": "full", "partitions": ["full"]}, recipe={"iterations": 2},
        evaluation={"every": 2, "evaluated_on": "val"},
    )  # fmt: skip
    content |= {
        "dataset": "own",
        "datasets": {"own": {"kind": "folder", "data_root": "own", "val_list": "lists/val.txt"}},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        train_all()
    return root


@pytest.fixture
def root(trained, tmp_path, monkeypatch) -> Path:
    shutil.copytree(trained, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    return Path.cwd()


def set_dataset(root: Path, **settings: str) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["datasets"]["own"] |= settings
    (root / "params.yaml").write_text(yaml.safe_dump(content))


def done() -> bool:
    study = Study.load()
    return all(product.fresh() for product in study.runs.values())


def test_a_folder_and_a_list_that_moved_are_found_again_by_what_they_hold(root, capsys):
    assert done()
    (root / "elsewhere").mkdir()
    (root / "own").rename(root / "elsewhere/photographs")
    (root / "lists/val.txt").rename(root / "elsewhere/validation.txt")
    set_dataset(root, data_root="elsewhere/photographs", val_list="elsewhere/validation.txt")
    main(["data", "prepare", "own"])
    assert done(), "not trained again"
    set_dataset(root, val_list="elsewhere/other.txt")
    (root / "elsewhere/other.txt").write_text("4\n")
    main(["data", "prepare", "own"])
    assert not done()


def test_an_edited_mask_is_noticed_and_what_becomes_stale_is_said(root, capsys):
    trees.save(root / "own/masks/2.png", trees.label(77, 3, (32, 32)))
    main(["plan"])
    told = " ".join(capsys.readouterr().out.split())
    assert "have changed since they were prepared: 1 file edited (masks/2.png)" in told
    assert "then trains 1 runs again that are done" in told
    main(["data", "check", "own"])
    told = capsys.readouterr().out
    assert "since the last check: 1 file edited (masks/2.png)" in told
    assert "1 finished run was trained on the previous files (suite tiny)" in told
    main(["data", "check", "own"])
    assert "since the last check" not in capsys.readouterr().out


def test_a_study_as_it_was_left_has_no_warning(root, capsys):
    main(["plan"])
    assert "warning" not in capsys.readouterr().out


def test_an_estimate_knows_the_images_that_were_checked(root):
    from semiseg.cluster import estimate

    [run] = Study.load().plan.runs
    assert estimate.evaluated_sets(run.config) == {"val": (1, 32 * 32)}
    (root / "data/own/manifest.json").unlink()
    assert estimate.evaluated_sets(run.config) == {"val": estimate.UNKNOWN_SET}


def test_iterations_that_take_months_are_pointed_out(root, capsys):
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["suites"]["tiny"]["recipe"]["iterations"] = 10**9
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    main(["plan"])
    assert "lower suites.tiny.recipe.iterations (1,000,000,000)" in capsys.readouterr().out
