"""Oxford-IIIT Pet in both layouts: labels, the held-out val, and images of another size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.datasets.dataset import open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from tests.datasets import dataset_trees as trees

TRAINVAL = [f"Birman_{number}" for number in range(26)]


def opened(root, **settings):
    return open_dataset("pets", DatasetConfig(kind="oxford_pets", complete=False, data_root=root, **settings))


def ids(dataset, subset):
    return [sample.id for sample in dataset.subsets[subset]]


def test_trimaps_become_pet_background_and_ignored_border(tmp_path):
    dataset = opened(trees.oxford_pets(tmp_path, TRAINVAL, ["pug_1"]))
    trimap = trees.trimap(len(TRAINVAL))
    expected = np.full(trimap.shape, 255, np.uint8)
    expected[trimap == 1] = 1
    expected[trimap == 2] = 0
    assert set(np.unique(trimap)) == {1, 2, 3}
    assert np.array_equal(dataset.read_mask(dataset.subsets["test"][0]), expected)
    assert dataset.classes == ("background", "pet")


def test_val_is_held_out_of_trainval_and_the_same_in_both_layouts(tmp_path):
    official = opened(trees.oxford_pets(tmp_path / "official", TRAINVAL, ["pug_1"]))
    copied = opened(trees.in_folders(tmp_path / "copy", {"train": TRAINVAL, "test": [TRAINVAL[0]]}, 2))
    assert len(ids(official, "val")) == 2
    assert sorted(ids(official, "train") + ids(official, "val")) == sorted(TRAINVAL)
    for subset in ("train", "val"):
        assert sorted(ids(official, subset)) == sorted(ids(copied, subset))


def test_a_copy_may_number_train_and_test_alike(tmp_path):
    trees.in_folders(tmp_path, {"train": TRAINVAL, "test": TRAINVAL[:2]}, 2)
    dataset = opened(tmp_path)
    every = [one for subset in dataset.subsets for one in ids(dataset, subset)]
    assert len(set(every)) == len(every) == len(TRAINVAL) + 2
    assert dataset.subsets["test"][1].image.name == f"{sorted(TRAINVAL)[1]}.jpg"


def test_images_and_masks_are_squeezed_to_squares(tmp_path):
    root = trees.oxford_pets(tmp_path, TRAINVAL, ["pug_1"], size=(64, 96))
    plain, square = opened(root), opened(root, options={"side": 32})
    [sample] = plain.subsets["test"]
    assert plain.read_image(sample).shape == (64, 96, 3)
    image, mask = square.read_image(sample), square.read_mask(sample)
    assert image.shape == (32, 32, 3)
    assert mask.shape == (32, 32)
    assert set(np.unique(mask)) <= {0, 1, 255}
    whole = Image.fromarray(plain.read_image(sample)).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(image, np.asarray(whole))


def test_a_wrong_folder_and_a_wrong_side_are_answered(tmp_path):
    with pytest.raises(UserError, match="neither annotations/trimaps nor images in images/train"):
        opened(tmp_path)
    with pytest.raises(ValueError, match="side"):
        DatasetConfig(kind="oxford_pets", options={"side": 8})
