from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.base.labels import voc_palette
from semiseg.datasets.dataset import Dataset, Sample, open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.get import sbd
from semiseg.datasets.kinds.cityscapes import LABELS, label_ids
from tests.datasets import dataset_trees as trees

TRAIN, VAL, OTHERS = ["2007_000032", "2007_000039"], ["2007_000033"], ["2008_000002", "2008_000003"]


def ids(dataset: Dataset, subset: str) -> list[str]:
    return [sample.id for sample in dataset.subsets[subset]]


def message(name: str, config: DatasetConfig, root: Path) -> str:
    with pytest.raises(UserError) as caught:
        dataset = open_dataset(name, config, root)
        for samples in dataset.subsets.values():
            for sample in samples:
                dataset.read_mask(sample)
    return str(caught.value)


def test_voc_palette_is_the_development_kits() -> None:
    palette = voc_palette(21)
    assert palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert palette[15] == (192, 128, 128)
    assert palette[20] == (0, 64, 128)


def test_voc_train(tmp_path: Path) -> None:
    trees.voc(tmp_path / "voc" / "raw", TRAIN, VAL)
    dataset = open_dataset("voc", DatasetConfig(kind="voc", train_list="train"), tmp_path)
    assert ids(dataset, "train") == TRAIN
    assert ids(dataset, "val") == VAL
    assert dataset.redistributable is False
    sample = dataset.subsets["train"][1]
    assert dataset.read_image(sample).shape == (*trees.SIZE, 3)
    assert np.array_equal(dataset.read_mask(sample), trees.label(1, 21))


def test_voc_with_sbd(tmp_path: Path) -> None:
    raw = tmp_path / "voc" / "raw"
    trees.voc(raw, TRAIN, VAL, OTHERS)
    # SBD knows images of VOC's train and val too: val stays out, train keeps VOC's masks.
    trees.sbd(raw, [*OTHERS[:1], TRAIN[0]], [*OTHERS[1:], *VAL])
    config = DatasetConfig(kind="voc", complete=False)
    assert "semiseg data get voc" in message("voc", config, tmp_path)
    assert sbd.prepare(raw, tmp_path / "voc" / "prepared", complete=False) == 4
    dataset = open_dataset("voc", config, tmp_path)
    assert ids(dataset, "train") == sorted(TRAIN + OTHERS)
    masks = {sample.id: dataset.read_mask(sample) for sample in dataset.subsets["train"]}
    assert np.array_equal(masks[TRAIN[0]], trees.label(0, 21))
    converted = trees.label(100, 21)
    converted[converted == 255] = 0
    assert np.array_equal(masks[OTHERS[0]], converted)
    assert Image.open(tmp_path / "voc/prepared/SegmentationClassAug" / f"{OTHERS[0]}.png").mode == "P"


def test_incomplete_sbd_is_noticed_and_leaves_nothing(tmp_path: Path) -> None:
    trees.voc(tmp_path / "raw", TRAIN, VAL, OTHERS)
    trees.sbd(tmp_path / "raw", OTHERS, [])
    with pytest.raises(UserError, match="give 4 images, expected 10582"):
        sbd.prepare(tmp_path / "raw", tmp_path / "prepared")
    (tmp_path / "raw/benchmark_RELEASE/dataset/cls" / f"{OTHERS[1]}.mat").write_bytes(b"MATLAB 5.0 nonsense")
    with pytest.raises(UserError, match="is no SBD mask"):
        sbd.prepare(tmp_path / "raw", tmp_path / "prepared", complete=False)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_sbd_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    trees.save_sbd(tmp_path / "a.mat", np.zeros((4, 5), np.uint8))
    with pytest.raises(UserError, match=r"\(4, 5\) instead of \(5, 4\)"):
        sbd.read_mat(tmp_path / "a.mat", (5, 4))


@pytest.mark.parametrize("written", ["{0}", "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png"])
def test_a_users_own_train_aug_is_used_in_place(written: str, tmp_path: Path) -> None:
    home = trees.voc(tmp_path / "mine", TRAIN, VAL, OTHERS)
    for key in OTHERS:
        trees.save(home / "SegmentationClassAug" / f"{key}.png", trees.label(7, 21))
    trees.lines(home / "ImageSets/Segmentation/trainaug.txt", [written.format(k) for k in TRAIN + OTHERS])
    config = DatasetConfig(kind="voc", data_root=home)
    dataset = open_dataset("voc", config, tmp_path / "data")
    assert ids(dataset, "train") == TRAIN + OTHERS
    assert np.array_equal(dataset.read_mask(dataset.subsets["train"][3]), trees.label(7, 21))
    assert not (tmp_path / "data").exists()


def test_pocket_reads_its_own_classes_and_test(tmp_path: Path) -> None:
    home = trees.voc(tmp_path / "pocket" / "raw", ["a", "b"], ["c"], classes=3)
    for path in home.iterdir():
        path.rename(tmp_path / "pocket" / "raw" / path.name)
    trees.lines(tmp_path / "pocket/raw/ImageSets/Segmentation/test.txt", ["c"])
    (tmp_path / "pocket/raw/classes.txt").write_text("0 ground\n1 water body\n2 disc\n")
    dataset = open_dataset("pocket", DatasetConfig(kind="pocket", redistributable=True), tmp_path)
    assert dataset.classes == ("ground", "water body", "disc")
    assert dataset.redistributable
    assert ids(dataset, "test") == ["c"]


def test_cityscapes(tmp_path: Path) -> None:
    cities = {"train": {"aachen": 2, "jena": 1}, "val": {"frankfurt": 1}}
    trees.cityscapes(tmp_path / "cityscapes" / "raw", cities, extra={"augsburg": 2})
    dataset = open_dataset("cityscapes", DatasetConfig(kind="cityscapes", extra=True), tmp_path)
    assert ids(dataset, "train") == ["aachen_000000_000019", "aachen_000001_000019", "jena_000000_000019"]
    assert [sample.group for sample in dataset.subsets["train"]] == ["aachen", "aachen", "jena"]
    assert len(dataset.subsets["extra"]) == 2
    assert dataset.subsets["extra"][0].mask is None
    label_id = trees.label(1, 34)
    expected = np.full(label_id.shape, 255, np.uint8)
    for train_id, (_, value, _) in enumerate(LABELS):
        expected[label_id == value] = train_id
    assert np.array_equal(dataset.read_mask(dataset.subsets["train"][0]), expected)
    assert "extra" not in open_dataset("cityscapes", DatasetConfig(kind="cityscapes"), tmp_path).subsets


def test_cityscapes_label_ids() -> None:
    """The evaluated classes of the 34 label ids; road is the first and bicycle the last."""
    mapped = dict(label_ids().values)
    assert {value for value, k in mapped.items() if k != 255} == {
        *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    }
    assert (mapped[7], mapped[26], mapped[33], mapped[0], mapped[255]) == (0, 13, 18, 255, 255)


@pytest.mark.parametrize("layout", ["plain", "segnet"])
def test_camvid(layout: str, tmp_path: Path) -> None:
    names = {"train": ["0016E5_00390", "0001TP_006690"], "val": ["0016E5_07959"], "test": ["Seq05VD_f00000"]}
    trees.camvid(tmp_path / "camvid" / "raw", names, layout)
    dataset = open_dataset("camvid", DatasetConfig(kind="camvid"), tmp_path)
    assert ids(dataset, "train") == sorted(names["train"])
    assert dataset.subsets["test"][0].group == "Seq05VD"
    # Void is 11 in one layout and 255 in the other; both come out as 255.
    assert np.array_equal(dataset.read_mask(dataset.subsets["val"][0]), trees.label(3, 11))


@pytest.mark.parametrize("kind", ["voc", "cityscapes", "camvid"])
def test_wrong_folders_are_answered(kind: str, tmp_path: Path) -> None:
    assert f"semiseg data get {kind}" in message(kind, DatasetConfig(kind=kind), tmp_path)
    (tmp_path / "elsewhere").mkdir()
    assert "elsewhere" in message(kind, DatasetConfig(kind=kind, data_root=tmp_path / "elsewhere"), tmp_path)


@pytest.mark.parametrize("kind", ["voc", "cityscapes", "camvid"])
def test_restricted_data_cannot_be_declared_redistributable(kind: str) -> None:
    with pytest.raises(ValueError, match="redistributable must be false"):
        DatasetConfig(kind=kind, redistributable=True)


def test_bad_masks_name_image_file_and_pixels(tmp_path: Path) -> None:
    home = trees.voc(tmp_path / "voc" / "raw", TRAIN, VAL)
    config = DatasetConfig(kind="voc", train_list="train")
    wrong = trees.label(1, 21)
    wrong[5, :7] = 21
    trees.save_palette(home / "SegmentationClass" / f"{TRAIN[1]}.png", wrong)
    text = message("voc", config, tmp_path)
    assert f"{TRAIN[1]}.png (image {TRAIN[1]})" in text
    assert "21 on 7 pixels" in text
    trees.save_palette(home / "SegmentationClass" / f"{TRAIN[1]}.png", trees.label(1, 21, (32, 24)))
    text = message("voc", config, tmp_path)
    assert "is 24x32, but its image is 32x24" in text
    assert "EXIF" in text
    (home / "SegmentationClass" / f"{TRAIN[1]}.png").unlink()
    assert "No such file" in message("voc", config, tmp_path)
    trees.lines(home / "ImageSets/Segmentation/train.txt", [TRAIN[0], TRAIN[0]])
    assert f"train lists {TRAIN[0]} twice" in message("voc", config, tmp_path)


def test_an_image_without_a_mask_has_no_mask(tmp_path: Path) -> None:
    trees.cityscapes(tmp_path / "c" / "raw", {"train": {"a": 1}, "val": {"b": 1}})
    dataset = open_dataset("c", DatasetConfig(kind="cityscapes"), tmp_path)
    with pytest.raises(UserError, match="has no mask"):
        dataset.read_mask(Sample("x", dataset.subsets["val"][0].image, None))


def test_a_folder_of_ones_own_cannot_be_downloaded(tmp_path):
    config = DatasetConfig(kind="folder", data_root=tmp_path / "nowhere")
    assert message("mine", config, tmp_path) == f"{tmp_path}/nowhere does not exist; set data_root to your copy"
