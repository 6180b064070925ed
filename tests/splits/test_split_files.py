"""The family `own`: a user's list of labelled images, by the names that the user's folder has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets import preparing
from semiseg.splits.split_files import read_split, wanted, write_split

POOL = ("2024/a rgb", "2024/a_001", "2024/b_001", "2025/a_001")
STORE = SimpleNamespace(subsets={"train": POOL, "val": ("2024/v",), "extra": ("2024/x",)})
PLACE = Path("data/fields/lists/few.txt")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    PLACE.parent.mkdir(parents=True)
    for number, name in enumerate(("fields", "other")):
        files.write_json(f"data/{name}/manifest.json", {"sha256": str(number), "made_from": {"code": "c"}})


def write(text: str, literature: str = ""):
    PLACE.write_text(text)
    write_split(Path("split.json"), "own", "few", STORE, "fields", literature, data())
    return read_split(Path("split.json"))


def data() -> str:
    return preparing.data_sha256("fields", Path("data"))


@pytest.mark.parametrize(
    "line", ["2024/a_001", "2024/a_001.tif", "images/2024/a_001.jpg", "# those of May\n2024/a_001\n\n"]
)
def test_lines_are_paths_below_images(line):
    split = write(f"{line}\n2024/a rgb\n")
    assert split.labelled == ("2024/a rgb", "2024/a_001")
    assert split.unlabelled == ("2024/b_001", "2025/a_001")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a_001\n", "data/fields/lists/few.txt lists a_001, which is no image;"),
        ("2024/v.png\n", "lists 2024/v.png, which is in val;"),
        ("2024/x\n", "lists 2024/x, which is in extra;"),
        ("2024/a_001\n2024/a_001.png\n", "twice"),
        ("# none\n", "no labelled image"),
    ],
)
def test_what_cannot_be_labelled_is_named_with_its_file(text, sentence):
    with pytest.raises(UserError) as caught:
        write(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("literature", ["", "voc"])
def test_a_missing_list_is_named(literature):
    with pytest.raises(UserError, match="data/fields/lists/none.txt does not exist"):
        write_split(Path("split.json"), "own", "none", STORE, "fields", literature, data())


def test_an_edited_list_is_another_split():
    write("2024/a_001\n")
    assert files.read_json("split.json")["made_from"] == wanted("own", "few", data(), "fields")
    PLACE.write_text("2024/b_001\n")
    assert files.read_json("split.json")["made_from"] != wanted("own", "few", data(), "fields")
    before = wanted("own", "few", data(), "fields")
    Path("data/other/lists").mkdir()
    Path("data/other/lists/few.txt").write_text("another data set's")
    assert wanted("own", "few", data(), "fields") == before


def test_other_families_know_nothing_of_lists():
    assert "list" not in wanted("random:0", "1/2", data(), "fields")
