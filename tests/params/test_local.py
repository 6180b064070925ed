"""params.local.yaml overrides params.yaml, `only` keeps some methods, and plugins are checked."""

from __future__ import annotations

import pytest
import yaml

from semiseg.base import plugins
from semiseg.base.errors import UserError
from semiseg.params import loading
from tests import tiny


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(plugins, "_named", None)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny.params({"supervised": {}, "fixmatch": {}})))

    def load(local: dict | str, suite: str | None = None):
        text = local if isinstance(local, str) else yaml.safe_dump(local)
        (tmp_path / "params.local.yaml").write_text(text)
        return loading.load(tmp_path / "params.yaml", suite)

    return load


def test_places_suites_and_the_present_suite(load):
    own = {"extends": "tiny", "seeds": [7], "only": ["fixmatch"]}
    params = load({"suite": "mine", "suites": {"mine": own}, "datasets": {"tiny": {"data_root": "/elsewhere"}}})
    assert params.suite == "mine"
    assert params.suites["mine"].seeds == (7,)
    assert list(params.suites["mine"].methods) == ["fixmatch"]
    assert set(params.suites["tiny"].methods) == {"supervised", "fixmatch"}
    assert str(params.datasets["tiny"].data_root) == "/elsewhere"
    assert params.datasets["tiny"].kind == "pocket"


def test_an_empty_list_of_methods_and_a_list_of_names(load):
    params = load({"suites": {"tiny": {"methods": ["supervised"]}}})
    assert list(params.suites["tiny"].methods) == ["supervised"]


@pytest.mark.parametrize(
    ("local", "sentence"),
    [
        ({"sweet": 1}, r"params\.local\.yaml: sweet: unknown key"),
        ("- a list", r"params\.local\.yaml: expected a mapping"),
        (
            {"suites": {"mine": {"extends": "tiny", "only": ["fixmach"]}}},
            "only: the suite has no method 'fixmach'",
        ),
        ({"suites": {"mine": {"extends": "tiny", "only": "fixmatch"}}}, "expected a list of the suite's methods"),
        ({"plugins": "mine.py"}, "plugins: expected a list of Python files"),
        ({"plugins": ["mine.py"]}, r"mine\.py does not exist"),
    ],
)
def test_mistakes_are_answered_with_their_file(load, local, sentence):
    with pytest.raises(UserError, match=sentence):
        load(local)


def test_a_plugin_that_defines_nothing(load, tmp_path):
    (tmp_path / "empty.py").write_text("VALUE = 3\n")
    with pytest.raises(UserError, match=r"empty\.py defines nothing that can be added \(method, kind of data set"):
        load({"plugins": ["empty.py"]})
