"""Cityscapes in miniature: both layouts, published lists by name, and held-out cities."""

from __future__ import annotations

import numpy as np
import pytest

from semiseg.base.errors import UserError
from semiseg.datasets.dataset import open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import kind_of
from semiseg.datasets.kinds import cityscapes
from semiseg.datasets.kinds.cityscapes_mini import CATEGORIES, SIZE, categories
from semiseg.splits.families import check_partition
from semiseg.splits.lists import known_lists
from tests.datasets import dataset_trees as trees

NAMES = {"train": [f"{city}_00000{k}_000019" for city in ("aachen", "jena", "ulm") for k in range(2)],
         "val": ["munster_000000_000019"]}  # fmt: skip


def opened(root, **settings):
    return open_dataset("mini", DatasetConfig(kind="cityscapes_mini", complete=False, data_root=root, **settings))


def ids(dataset, subset):
    return [sample.id for sample in dataset.subsets[subset]]


def test_a_copy_in_folders(tmp_path):
    dataset = opened(trees.in_folders(tmp_path, NAMES, 7, size=SIZE))
    assert {subset: ids(dataset, subset) for subset in ("train", "val")} == NAMES
    assert [sample.group for sample in dataset.subsets["train"]] == ["aachen"] * 2 + ["jena"] * 2 + ["ulm"] * 2
    assert np.array_equal(dataset.read_mask(dataset.subsets["val"][0]), trees.label(6, 7, SIZE))
    assert len(dataset.classes) == 7


def test_official_images_are_made_smaller_and_their_labels_joined(tmp_path):
    trees.cityscapes(tmp_path, {"train": {"aachen": 1}, "val": {"munster": 1}}, size=(256, 512))
    dataset = opened(tmp_path)
    [sample] = dataset.subsets["train"]
    assert sample.id == "aachen_000000_000019"
    assert dataset.read_image(sample).shape == (*SIZE, 3)
    label_ids = trees.label(1, 34, (256, 512))[::2, ::2]  # blocks of 4 pixels, so that every second pixel is the truth
    evaluated = {label for _, label, _ in cityscapes.LABELS}
    expected = np.full(SIZE, 255, np.uint8)
    for index, (_, labels, _) in enumerate(CATEGORIES):
        expected[np.isin(label_ids, [one for one in labels if one in evaluated])] = index
    mask = dataset.read_mask(sample)
    assert np.array_equal(mask[1:], expected[1:])  # row 0 is a stripe that one of the two rows loses
    assert len(np.unique(mask)) > 4


def test_every_evaluated_label_has_the_category_of_its_name():
    names = [name for name, _, _ in CATEGORIES]
    mapped = dict(categories().values)
    by_label = {name: names[mapped[label]] for name, label, _ in cityscapes.LABELS}
    assert by_label["road"] == by_label["sidewalk"] == "flat"
    assert by_label["building"] == by_label["wall"] == by_label["fence"] == "construction"
    assert by_label["pole"] == by_label["traffic sign"] == "object"
    assert by_label["vegetation"] == by_label["terrain"] == "nature"
    assert by_label["person"] == by_label["rider"] == "human"
    assert {by_label[name] for name in ("car", "truck", "bus", "train", "motorcycle", "bicycle")} == {"vehicle"}
    assert mapped[0] == mapped[4] == mapped[255] == 255


def test_held_out_cities_become_val_and_the_official_val_is_not_read(tmp_path):
    root = trees.in_folders(tmp_path, {"train": NAMES["train"]}, 7, size=SIZE)
    dataset = opened(root, options={"held_out": ["ulm"]})
    assert set(ids(dataset, "val")) == {one for one in NAMES["train"] if one.startswith("ulm")}
    assert set(ids(dataset, "train")).isdisjoint(ids(dataset, "val"))
    assert len(ids(dataset, "train")) == 4
    with pytest.raises(UserError, match="train has no city bonn; it has aachen, jena, ulm"):
        opened(root, options={"held_out": ["bonn"]})


def test_the_lists_of_the_field_apply_by_name():
    name = kind_of(DatasetConfig(kind="cityscapes_mini")).literature
    for partition, count in (("1/30", 100), ("1/8", 372)):
        check_partition("stpp:2", partition, name)
        assert known_lists()["stpp:2", name, partition].count == count


def test_it_cannot_be_downloaded(tmp_path):
    from semiseg.datasets.get.getting import get

    with pytest.raises(UserError, match="not offered for download: set data_root"):
        get("mini", DatasetConfig(kind="cityscapes_mini"), tmp_path)
