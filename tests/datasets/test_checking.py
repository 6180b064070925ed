from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets.checking import check_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.manifest import config_hash, manifest_path, require_manifest
from semiseg.datasets.verdict import check
from tests import tiny
from tests.datasets import dataset_trees as trees

NAMES = {"train": ["a_1", "a_2", "a_3"], "val": ["a_4"], "test": ["b_1"]}
CONFIG = DatasetConfig(kind="camvid", complete=False)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return trees.camvid(tmp_path / "mine" / "raw", NAMES, "plain")


def problems(root: Path, config: DatasetConfig = CONFIG) -> str:
    verdict = check_dataset("mine", config, root)
    assert verdict["ok"] is (not verdict["problems"])
    return " | ".join(verdict["problems"])


def test_a_sound_data_set(raw: Path, tmp_path: Path) -> None:
    verdict = check_dataset("mine", CONFIG, tmp_path)
    assert verdict["problems"] == []
    train = verdict["subsets"]["train"]
    labels = [trees.label(k, 11) for k in (1, 2, 3)]
    assert train["sizes"] == {"32x24": 3}
    assert train["pixels"]["road"] == sum(int((label == 3).sum()) for label in labels)
    assert train["images_with"]["road"] == sum(bool((label == 3).any()) for label in labels)
    assert train["pixels_ignored"] == 3 * 32
    manifest = require_manifest("mine", CONFIG, tmp_path)
    assert manifest["subsets"]["train"]["masks"] == 3
    assert manifest["files"]["images/train/a_1.jpg"] == files.sha256_file(raw / "images/train/a_1.jpg")
    assert len(manifest["files"]) == 10


def test_the_manifest_depends_on_contents_alone(raw: Path, tmp_path: Path) -> None:
    check_dataset("mine", CONFIG, tmp_path)
    first = manifest_path("mine", tmp_path).read_bytes()
    moved = tmp_path / "other" / "place"
    moved.parent.mkdir()
    raw.rename(moved)
    check_dataset("mine", CONFIG.model_copy(update={"data_root": moved}), tmp_path)
    assert manifest_path("mine", tmp_path).read_bytes() == first
    trees.save(moved / "masks/train/a_1.png", trees.label(77, 11))
    check_dataset("mine", CONFIG.model_copy(update={"data_root": moved}), tmp_path)
    assert json.loads(first)["sha256"] != files.read_json(manifest_path("mine", tmp_path))["sha256"]


def test_what_others_noted_stays_while_the_data_are_equal(raw: Path, tmp_path: Path) -> None:
    check_dataset("mine", CONFIG, tmp_path)
    path = manifest_path("mine", tmp_path)
    files.write_json(path, {**files.read_json(path), "made_from": "here"})
    check_dataset("mine", CONFIG, tmp_path)
    assert files.read_json(path)["made_from"] == "here"
    trees.save(raw / "masks/train/a_1.png", trees.label(77, 11))
    check_dataset("mine", CONFIG, tmp_path)
    assert "made_from" not in files.read_json(path)


def test_official_counts(raw: Path, tmp_path: Path) -> None:
    assert "train has 3 images, officially 367" in problems(tmp_path, DatasetConfig(kind="camvid"))


@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_an_empty_list(subset: str, tmp_path: Path) -> None:
    raw = tmp_path / "mine" / "raw"
    tiny.draw(raw, {"train": 3, "val": 2, "test": 2})
    config = DatasetConfig(kind="pocket")
    assert check_dataset("mine", config, tmp_path)["problems"] == []
    (raw / f"ImageSets/Segmentation/{subset}.txt").write_text("")
    assert f"{subset} holds no image; look at ImageSets/Segmentation/{subset}.txt" in problems(tmp_path, config)


def test_a_list_that_is_missing(tmp_path: Path) -> None:
    raw = tmp_path / "mine" / "raw"
    tiny.draw(raw, {"train": 3, "val": 2, "test": 2})
    (raw / "ImageSets/Segmentation/test.txt").unlink()
    assert "test holds no image" in problems(tmp_path, DatasetConfig(kind="pocket"))


def test_unreadable_files(raw: Path, tmp_path: Path) -> None:
    image = raw / "images/train/a_1.jpg"
    image.write_bytes(image.read_bytes()[:300])
    (raw / "masks/train/a_2.png").unlink()
    label = trees.label(3, 11)
    label[3, 3] = 12
    trees.save(raw / "masks/train/a_3.png", label)
    text = problems(tmp_path)
    assert "a_1.jpg cannot be decoded" in text
    assert "a_2.png cannot be read (No such file" in text
    assert "12 on 1 pixels" in text


def test_masks_of_one_class_and_empty_masks(raw: Path, tmp_path: Path) -> None:
    for name in NAMES["train"]:
        trees.save(raw / f"masks/train/{name}.png", np.zeros(trees.SIZE, np.uint8))
    trees.save(raw / "masks/val/a_4.png", np.full(trees.SIZE, 255, np.uint8))
    text = problems(tmp_path)
    assert "every labelled pixel of train is sky" in text
    assert "the masks of val hold no class at all" in text
    warnings = files.read_json(manifest_path("mine", tmp_path))["verdict"]["warnings"]
    assert any("train has no pixel of building" in warning for warning in warnings)
    assert any("1 masks of val hold ignored pixels only, first: a_4" in warning for warning in warnings)


def test_one_id_in_two_subsets(raw: Path, tmp_path: Path) -> None:
    for part, suffix in (("images", "jpg"), ("masks", "png")):
        (raw / part / "val" / f"a_1.{suffix}").write_bytes((raw / part / "train" / f"a_1.{suffix}").read_bytes())
    assert "a_1 (train, val)" in problems(tmp_path)


def make_folder(root: Path, names: list[str]) -> DatasetConfig:
    for number, name in enumerate(names):
        trees.save(root / "images" / f"{name}.png", trees.rgb(number))
        trees.save(root / "masks" / f"{name}.png", trees.label(number, 3))
    (root / "classes.txt").write_text("0 a\n1 b\n2 c\n")
    (root / "val.txt").write_text(names[-1])
    return DatasetConfig(kind="folder", data_root=root, val_list=root / "val.txt")


def test_equal_images_in_two_subsets_are_a_leak_in_own_data(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "own", ["a", "b", "c"])
    (tmp_path / "own/images/b.png").write_bytes((tmp_path / "own/images/c.png").read_bytes())
    assert "two subsets with equal bytes, first: train/b = val/c" in problems(tmp_path, config)


def test_equal_images_are_a_warning_in_official_lists_and_within_a_subset(raw: Path, tmp_path: Path) -> None:
    (raw / "images/test/b_1.jpg").write_bytes((raw / "images/train/a_1.jpg").read_bytes())
    (raw / "images/train/a_3.jpg").write_bytes((raw / "images/train/a_2.jpg").read_bytes())
    verdict = check_dataset("mine", CONFIG, tmp_path)
    assert verdict["problems"] == []
    assert verdict["duplicates"] == [["train/a_1", "test/b_1"], ["train/a_2", "train/a_3"]]
    assert len([warning for warning in verdict["warnings"] if "lie in" in warning]) == 2


def test_training_does_not_start_without_a_verdict(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has not been checked"):
        require_manifest("mine", CONFIG, tmp_path)
    said: list[str] = []
    check("mine", CONFIG, tmp_path, said.append)
    assert said[0] == "train: 3 images, 3 masks; 32x24 (3)"
    with pytest.raises(UserError, match="other settings"):
        require_manifest("mine", DatasetConfig(kind="camvid"), tmp_path)
    (raw / "masks/train/a_2.png").unlink()
    with pytest.raises(UserError, match="has 1 problem, first"):
        check("mine", CONFIG, tmp_path, said.append)
    assert said[-2].startswith("problem: ")
    with pytest.raises(UserError, match="found 1 problem, first"):
        require_manifest("mine", CONFIG, tmp_path)


def test_the_place_of_the_data_is_no_setting() -> None:
    here, there = (DatasetConfig(kind="camvid", data_root=Path(place)) for place in ("/a", "/b"))
    assert config_hash(here) == config_hash(there)
    assert config_hash(here) != config_hash(CONFIG)
