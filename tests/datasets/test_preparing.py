"""A manifest that came from elsewhere: which sources belong to it, and which pixels are used."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from semiseg.base.errors import UserError
from semiseg.datasets import preparing
from semiseg.datasets.checking import check_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.feed.store import INDEX, open_store
from tests import tiny
from tests.datasets import dataset_trees as trees

CONFIG = DatasetConfig(kind="pocket", redistributable=True)


@pytest.fixture
def root(tmp_path):
    tiny.draw(tmp_path / "tiny/raw", {"train": 3, "val": 1, "test": 1})
    preparing.prepare("tiny", CONFIG, tmp_path)
    return tmp_path


def fresh(root) -> bool:
    return preparing.carried("tiny", CONFIG, root) == preparing.wanted("tiny", CONFIG, root)


def test_the_same_bytes_with_other_times_are_the_same_data(root):
    assert fresh(root)
    os.utime(root / "tiny/raw/JPEGImages/train_000.png")
    assert fresh(root)
    (root / "tiny/inventory.json").unlink()
    assert fresh(root)
    assert (root / "tiny/inventory.json").exists(), "the bytes are compared once"


@pytest.mark.parametrize("name", ["JPEGImages/train_000.png", "SegmentationClass/val_000.png"])
def test_other_bytes_are_other_data(root, name):
    path = root / "tiny/raw" / name
    shutil.copy(path.with_name("test_000.png"), path)
    assert not fresh(root)


def test_without_sources_the_manifest_is_taken_at_its_word(root):
    shutil.rmtree(root / "tiny/raw")
    assert fresh(root)


def test_pixels_of_other_sources_than_the_manifests_are_refused(root):
    shutil.rmtree(root / "tiny/store")
    raw = root / "tiny/raw/JPEGImages"
    shutil.copy(raw / "test_000.png", raw / "train_000.png")
    with pytest.raises(UserError, match="differ from"):
        preparing.ensure_store("tiny", CONFIG, root)


def test_a_store_of_another_manifest_is_decoded_again(root):
    manifest = root / "tiny/manifest.json"
    index = root / "tiny/store" / INDEX
    before = index.stat().st_mtime_ns
    preparing.ensure_store("tiny", CONFIG, root)
    assert index.stat().st_mtime_ns == before
    content = json.loads(manifest.read_text())
    content["made_from"]["code"] = "as another version of the reader would have it"
    manifest.write_text(json.dumps(content))
    open_store(preparing.ensure_store("tiny", CONFIG, root))
    assert index.stat().st_mtime_ns != before


class Own:
    """A user's folder: six images of noise, and masks of the values 0 and 1."""

    def __init__(self, path) -> None:
        self.path, self.root = path / "own", path / "data"
        for number in range(6):
            trees.save(self.path / f"images/{number}.png", trees.rgb(number))
            trees.save(self.path / f"masks/{number}.png", trees.label(number, 2))
        self.name(0, 1)
        (path / "val.txt").write_text("4\n5\n")
        self.config = DatasetConfig(kind="folder", data_root=self.path, val_list=path / "val.txt")

    def name(self, soil: int, crop: int, colour: str = "", place=None) -> None:
        text = f"masks: index\nclasses:\n  - {{name: soil, value: {soil}}}\n  - {{name: crop, value: {crop}{colour}}}\n"
        (place or self.path / "classes.yaml").write_text(text)

    def prepare(self) -> None:
        preparing.prepare("own", self.config, self.root)

    def fresh(self) -> bool:
        return preparing.carried("own", self.config, self.root) == preparing.wanted("own", self.config, self.root)

    def data(self) -> str | None:
        return preparing.data_sha256("own", self.root)

    def label(self) -> np.ndarray:
        return open_store(self.root / "own/store").label("0")


@pytest.fixture
def own(tmp_path) -> Own:
    made = Own(tmp_path)
    made.prepare()
    return made


def test_values_that_change_their_classes_are_other_data_and_other_labels(own):
    before, label = own.data(), own.label().copy()
    own.name(1, 0)
    assert not own.fresh()
    own.prepare()
    assert own.fresh()
    assert own.data() != before
    known = label != 255
    assert known.any()
    assert np.array_equal(own.label()[known], 1 - label[known])


def test_a_check_alone_does_not_hide_that_labels_changed(own):
    before = own.data()
    own.name(1, 0)
    check_dataset("own", own.config, own.root)
    assert not own.fresh()
    assert own.data() != before
    assert not preparing._decoded("own", own.root), "the store holds the old labels"


def test_files_that_are_restored_are_the_same_data_after_a_check(own):
    before = own.data()
    for values in ((1, 0), (0, 1)):
        own.name(*values)
        check_dataset("own", own.config, own.root)
    assert own.data() == before


def test_another_colour_is_no_other_data(own):
    before = own.data()
    own.name(0, 1, ", colour: [1, 2, 3]")
    own.prepare()
    assert own.data() == before


def test_lists_and_classes_that_lie_elsewhere_are_watched(own, tmp_path):
    (tmp_path / "val.txt").write_text("3\n5\n")
    assert not own.fresh()
    own.prepare()
    assert own.fresh()
    elsewhere = tmp_path / "elsewhere.yaml"
    own.name(0, 1, place=elsewhere)
    own.config = own.config.model_copy(update={"classes_file": elsewhere})
    own.prepare()
    label = own.label().copy()
    own.name(1, 0, place=elsewhere)
    assert not own.fresh()
    own.prepare()
    assert not np.array_equal(own.label(), label)
    elsewhere.unlink()
    assert not own.fresh()
