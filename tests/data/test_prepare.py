"""A manifest that came from elsewhere: which sources are taken for its own, and which pixels are used."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from semiseg.data import prepare
from semiseg.data.options import DatasetConfig
from semiseg.data.store import INDEX, open_store
from semiseg.errors import UserError
from tests import tiny

CONFIG = DatasetConfig(kind="pocket", redistributable=True)


@pytest.fixture
def root(tmp_path):
    tiny.draw(tmp_path / "tiny/raw", {"train": 3, "val": 1, "test": 1})
    prepare.prepare("tiny", CONFIG, tmp_path)
    return tmp_path


def fresh(root) -> bool:
    return prepare.carried("tiny", CONFIG, root) == prepare.wanted("tiny", CONFIG, root)


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
    with pytest.raises(UserError, match="are not those of"):
        prepare.ensure_store("tiny", CONFIG, root)


def test_a_store_of_another_manifest_is_decoded_again(root):
    manifest = root / "tiny/manifest.json"
    index = root / "tiny/store" / INDEX
    before = index.stat().st_mtime_ns
    prepare.ensure_store("tiny", CONFIG, root)
    assert index.stat().st_mtime_ns == before
    content = json.loads(manifest.read_text())
    content["made_from"]["code"] = "as another version of the reader would have it"
    manifest.write_text(json.dumps(content))
    open_store(prepare.ensure_store("tiny", CONFIG, root))
    assert index.stat().st_mtime_ns != before
