"""semiseg data check, prepare and init, as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from semiseg.cli import main
from semiseg.datasets.proposal import suggest_groups
from semiseg.params import loading
from tests import tiny
from tests.datasets import dataset_trees as trees


def fails(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["data", *arguments])
    return caught.value.code


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tiny.workspace(tmp_path / "study", tiny.params()))
    return Path.cwd()


def test_check_says_what_it_saw_and_prepare_decodes(root, capsys):
    main(["data", "check", "tiny"])
    told = capsys.readouterr().out
    assert "train: 12 images, 12 masks; 32x32 (12)" in told
    assert "stripe" in told
    assert "verdict stored in data/tiny/manifest.json" in told
    assert not (root / "data/tiny/store").exists()
    main(["data", "prepare", "tiny"])
    assert (root / "data/tiny/store/index.json").exists()


def test_a_problem_is_named_and_ends_with_2(root, capsys):
    mask = root / "data/tiny/raw/SegmentationClass/val_001.png"
    trees.save(mask, trees.label(0, 9, (32, 32)))
    assert fails("check", "tiny") == 2
    told = capsys.readouterr()
    assert "problem: " in told.out
    assert "val_001.png" in told.err
    assert fails("prepare", "tiny") == 2
    assert not (root / "data/tiny/store/index.json").exists()
    assert fails("check", "tinny") == 2
    assert "did you mean 'tiny'?" in capsys.readouterr().err


def test_get_says_that_a_copy_is_used_in_place(root, capsys):
    content = tiny.params()
    content["datasets"]["streets"] = {"kind": "camvid", "data_root": "copy"}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    (root / "copy").mkdir()
    main(["data", "get", "streets"])
    assert "copy is used in place, nothing is downloaded" in capsys.readouterr().out


def test_init_prints_blocks_that_params_accepts(root, capsys):
    for number in range(8):
        trees.save(root / f"own/images/video{number // 2}_{number:03}.png", trees.rgb(number))
        trees.save(root / f"own/masks/video{number // 2}_{number:03}.png", trees.label(number, 3))
    main(["data", "init", "own"])
    told = capsys.readouterr().out
    assert "4 groups (video0, video1, video2, …)" in told
    assert "group_pattern: '^(.+)[_-]'" in told
    printed = yaml.safe_load(told[told.index("datasets:") :])
    content = tiny.params()
    for block in ("datasets", "suites"):
        content[block] |= printed[block]
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    assert loading.load(suite="own").suites["own"].methods.keys() == {"supervised", "fixmatch"}
    main(["data", "check", "own"])
    assert fails("init", "nowhere") == 2


def test_init_avoids_the_names_of_params_but_its_own(root, capsys):
    for number in range(4):
        trees.save(root / f"tiny/images/{number}.png", trees.rgb(number))
        trees.save(root / f"tiny/masks/{number}.png", trees.label(number, 3))
    main(["data", "init", "tiny"])
    assert "--config suite=tiny_2`" in capsys.readouterr().out
    content = tiny.params()
    content["datasets"]["tiny_2"] = {"kind": "folder", "data_root": "tiny"}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    main(["data", "init", "tiny/"])
    assert "--config suite=tiny_2`" in capsys.readouterr().out
    (root / "params.yaml").write_text("{")
    main(["data", "init", "tiny"])


@pytest.mark.parametrize(
    ("ids", "pattern"),
    [
        (["a/1", "a/2", "b/1", "b/2", "c/1", "c/2"], "^(.+)/"),
        ([f"tile{t}_part{p}" for t in range(3) for p in range(4)], "^(.+)[_-]"),
        ([f"img_{k:03}" for k in range(20)], None),
        ([f"{k:03}" for k in range(20)], None),
        ([f"{k}_photo" for k in range(20)], None),
    ],
)
def test_groups_are_suggested_where_names_show_them(ids, pattern):
    found = suggest_groups(ids)
    assert (found and found[0]) == pattern
