from __future__ import annotations

import pytest

from semiseg.base.errors import Interrupted
from semiseg.base.files import write_json
from semiseg.runs.run_folder import PRODUCTS, SHOWN, RunFolder

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


@pytest.mark.parametrize(
    ("at_the_start", "by_now", "kept"),
    [
        ("wanted", "wanted", True),
        ("before the list was known", "before the list was known", True),
        ("before the list was known", "wanted", True),
        ("wanted", "another", False),
        ("before the list was known", "another", False),
    ],
)
def test_a_training_left_behind_by_its_driver_keeps_silent(folder, tmp_path_factory, at_the_start, by_now, kept):
    """Its spec.json would be newer than the new driver's request, so Snakemake would accept it as the result."""
    request = tmp_path_factory.mktemp("requests") / "seed0.json"
    write_json(request, {"wanted": at_the_start})
    (folder / "spec.json").unlink()
    asked = folder.answering(request)
    write_json(request, {"wanted": by_now})
    if kept:
        asked.finish(SPEC, "wanted")
    else:
        with pytest.raises(Interrupted, match="the request has changed since"):
            asked.finish(SPEC, "wanted")
    assert folder.complete == kept


def test_a_request_that_changes_while_the_spec_is_written(folder, tmp_path_factory, monkeypatch):
    request = tmp_path_factory.mktemp("requests") / "seed0.json"
    write_json(request, {"wanted": "wanted"})

    def slow_write(path, value):
        write_json(path, value)
        write_json(request, {"wanted": "another"})

    monkeypatch.setattr("semiseg.runs.run_folder.write_json", slow_write)
    with pytest.raises(Interrupted):
        folder.answering(request).finish(SPEC, "wanted")
    assert not (folder / "spec.json").exists()
