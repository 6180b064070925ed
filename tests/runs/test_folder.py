from __future__ import annotations

import pytest

from semiseg.files import write_json
from semiseg.runs.folder import PRODUCTS, SHOWN, RunFolder

SPEC = {"config": {}}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path)
    for name in PRODUCTS:
        (made / name).write_text(name)
    write_json(made / "record.json", {"state": "done", "spec_sha256": "wanted", "products": made.products()})
    made.finish(SPEC, "wanted")
    return made


def test_a_whole_folder_has_no_damage(folder):
    assert folder.complete
    assert folder.damage(PRODUCTS) == []
    assert folder.recover(SPEC, "wanted")
    assert not folder.recover(SPEC, "another")


@pytest.mark.parametrize("name", PRODUCTS)
def test_another_byte_or_a_missing_file_is_damage(folder, name):
    (folder / name).write_text("another")
    assert folder.damage(PRODUCTS) == [name]
    assert folder.damage(SHOWN) == [name] * (name in SHOWN)
    assert not folder.recover(SPEC, "wanted")
    (folder / name).unlink()
    assert folder.damage(PRODUCTS) == [name]
    assert not folder.complete


def test_a_spec_that_was_taken_away_comes_back_when_the_products_are_whole(folder):
    (folder / "spec.json").unlink()
    assert folder.recover(SPEC, "wanted")
    assert folder.spec_sha256 == "wanted"
    (folder / "spec.json").unlink()
    (folder / "model.safetensors").write_text("another")
    assert not folder.recover(SPEC, "wanted")
    assert folder.spec_sha256 is None
