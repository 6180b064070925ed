"""Registries: entries of the package, entries of a user's file, and what is refused."""

from __future__ import annotations

import pytest

from semiseg import methods
from semiseg.base import plugins
from semiseg.base.errors import UserError
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import REGISTRY as KINDS

METHOD = """
from semiseg.methods import Method

class Mine(Method):
    pass
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(plugins, "_named", None)

    def write(name: str, text: str):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_users_file_adds_an_entry_under_its_own_name(write):
    before = methods.names()
    plugins.use([write("my_method.py", METHOD)])
    assert set(methods.names()) == {*before, "my_method"}
    assert methods.load("my_method").__name__ == "Mine"
    plugins.use([])
    assert methods.names() == before


def test_a_file_may_give_names_and_entries_of_several_registries(write):
    text = METHOD.replace("    pass", "    names = ('one', 'other')")
    text += "\nfrom semiseg.datasets.kind import Kind\n\nclass Mine2(Kind):\n    names = ('third',)\n"
    plugins.use([write("several.py", text)])
    assert methods.load("one") is methods.load("other")
    assert KINDS.load("third").__name__ == "Mine2"
    assert "third" not in methods.names()


def test_one_name_needs_no_list(write):
    before = methods.names()
    plugins.use([write("single.py", METHOD.replace("    pass", "    names = 'half'"))])
    assert set(methods.names()) == {*before, "half"}


def test_a_kind_that_cannot_read_is_answered_in_a_sentence(write, tmp_path):
    plugins.use([write("mute.py", "from semiseg.datasets.kind import Kind\n\nclass Mute(Kind):\n    pass\n")])
    with pytest.raises(UserError, match=r"mine: the kind of data set mute \(Mute\) must define the method `read`"):
        KINDS.load("mute").read("mine", DatasetConfig(kind="mute"), tmp_path, tmp_path)


def test_a_process_that_nobody_told_finds_the_files_that_params_name(write, tmp_path, monkeypatch):
    write("quiet.py", METHOD)
    (tmp_path / "params.local.yaml").write_text("plugins: [quiet.py]\n")
    monkeypatch.chdir(tmp_path)
    assert "quiet" in methods.names()
    (tmp_path / "params.local.yaml").write_text("suite: pocket\n")
    assert "quiet" not in methods.names()


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("fixmatch.py", METHOD, "there is a method 'fixmatch' already"),
        ("broken.py", "import nothing_of_this_name", "broken.py cannot be imported: ModuleNotFoundError"),
        ("leaving.py", "import sys; sys.exit(3)", "leaving.py cannot be imported: SystemExit: 3"),
        ("two.py", METHOD + METHOD.replace("Mine", "Other"), "give Mine, Other a class attribute `names`"),
    ],
)
def test_what_cannot_be_used_is_answered_in_a_sentence(write, name, text, sentence):
    plugins.use([write(name, text)])
    with pytest.raises(UserError, match=sentence):
        methods.names()


def test_a_file_that_is_not_there(write, tmp_path):
    plugins.use([tmp_path / "gone.py"])
    with pytest.raises(UserError, match=r"gone\.py does not exist"):
        methods.names()


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="no kind of data set 'cityscape'; did you mean 'cityscapes'"):
        KINDS.load("cityscape")
