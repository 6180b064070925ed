"""The embedded data set: the same pixels everywhere, VOC's layout, every class in every subset."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.datasets.dataset import open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kinds import pocket
from semiseg.datasets.kinds.pocket.integers import ONE, Dice, sine
from semiseg.datasets.kinds.pocket.scene import scene


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("pocket") / "raw"
    began = time.process_time()
    pocket.generate(root)
    return root, time.process_time() - began


def test_the_pixels_are_the_frozen_ones(made):
    root, _ = made
    assert pocket.pixels_sha256(root) == pocket.PIXELS_SHA256


def test_a_changed_pixel_is_seen(made, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(made[0], copy)
    path = next((copy / "JPEGImages").iterdir())
    pixels = np.array(Image.open(path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    assert pocket.pixels_sha256(copy) != pocket.PIXELS_SHA256


def test_it_takes_under_20_seconds(made):
    assert made[1] < 20


def test_vocs_reader_finds_every_class_in_every_subset(made):
    dataset = open_dataset("pocket", DatasetConfig(kind="pocket", data_root=made[0], redistributable=True))
    assert len(dataset.classes) >= 6, "background and at least five others"
    ids = [sample.id for samples in dataset.subsets.values() for sample in samples]
    assert len(ids) == len(set(ids)), "an image in two subsets"
    for name in ("train", "val", "test"):
        values = set()
        for sample in dataset.subsets[name]:
            values |= set(np.unique(dataset.read_mask(sample)).tolist())
        assert values == {*range(len(dataset.classes)), 255}, name


def test_nothing_is_overwritten(made):
    with pytest.raises(UserError, match="exists already"):
        pocket.generate(made[0])


def test_drawing_is_integer_arithmetic():
    """The last bit of floating-point numbers, and therefore a rounded pixel, may differ between machines."""
    import ast

    for path in Path(pocket.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        floats = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)
        ]
        divisions = [
            node.lineno for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        ]
        paths = [line for line in divisions if '"' in path.read_text().splitlines()[line - 1]]  # pathlib's slash
        assert not floats, path.name
        assert divisions == paths, path.name


def test_the_folders_are_vocs(made):
    root, _ = made
    for subset, (count, _) in pocket.SUBSETS.items():
        ids = (root / "ImageSets/Segmentation" / f"{subset}.txt").read_text().split()
        assert len(ids) == count
        for name in ids[:20]:
            pair = (root / folder / f"{name}.png" for folder in ("JPEGImages", "SegmentationClass"))
            image, mask = (Image.open(path) for path in pair)
            with image, mask:
                assert (image.mode, mask.mode) == ("RGB", "P")
                assert image.size == mask.size and min(image.size) >= 64
    lines = (root / "classes.txt").read_text().splitlines()
    assert lines == [f"{index} {name}" for index, name in enumerate(pocket.CLASSES)]


def test_other_pixels_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(pocket, "write", lambda folder: (folder / "half").write_text("half"))
    monkeypatch.setattr(pocket, "pixels_sha256", lambda folder: "0" * 64)
    with pytest.raises(UserError, match="was generated with pixels 000000000000"):
        pocket.generate(tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def test_scenes_depend_on_nothing_but_their_seeds():
    first, again, other = scene(Dice(1, 5)), scene(Dice(1, 5)), scene(Dice(2, 5))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({seed for _, seed in pocket.SUBSETS.values()}) == 3
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


def test_bhaskaras_sine_is_close_to_the_sine():
    worst = max(abs(sine(d) * 1000 // ONE - round(1000 * math.sin(math.radians(d)))) for d in range(-360, 720))
    assert worst <= 3
