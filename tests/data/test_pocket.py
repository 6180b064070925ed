"""The embedded data set: the same pixels everywhere, VOC's layout, every class in every subset."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.data import pocket
from semiseg.data.datasets import open_dataset
from semiseg.data.options import DatasetConfig
from semiseg.errors import UserError


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
    """Floating point may differ between machines in its last bit, and a rounded pixel with it."""
    import ast

    for path in Path(pocket.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        floats = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)]
        divisions = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)]
        paths = [line for line in divisions if '"' in path.read_text().splitlines()[line - 1]]  # pathlib's slash
        assert not floats, path.name
        assert divisions == paths, path.name
