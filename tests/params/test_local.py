"""params.local.yaml overrides params.yaml, `only` keeps some methods, and plugins are checked."""

from __future__ import annotations

import pytest
import yaml

from semiseg import methods
from semiseg.base import plugins
from semiseg.base.errors import UserError
from semiseg.params import loading
from semiseg.study import grid
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


@pytest.mark.parametrize(
    ("methods", "key"),
    [
        ({"fixmatch": {"options": {"confidnce": 1}}}, "suites.mine.methods.fixmatch.confidnce: unknown key"),
        ({"fixmatch": {"variants": ["defualt"]}}, "suites.mine.methods.fixmatch.variants: fixmatch has no variant"),
        ({"fixmatch": {}, "cutmix_seg": {}}, "suites.mine.methods.cutmix_seg: cutmix_seg needs a teacher"),
    ],
)
def test_an_error_in_the_options_of_a_method_names_the_file_that_has_the_suite(load, methods, key):
    own = {"extends": "tiny", "methods": methods, "recipe": {"ema": None}}
    params = load({"suites": {"mine": own}}, "mine")
    with pytest.raises(UserError, match=rf"params\.local\.yaml: {key}"):
        grid.plan(params, "mine")
    grid.plan(params, "tiny")


def test_null_stays_null_whatever_else_the_local_file_says(load, tmp_path):
    """In a suite that extends another, in either file."""
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    tiny_suite = content["suites"]["tiny"]
    tiny_suite["ablations"] = {"cut": {"method": "fixmatch", "at": 4, "vary": {"confidence": [0.5, 0.9]}}}
    content["suites"]["bare"] = {"extends": "tiny", "ablations": None}
    content["suites"]["whole"] = {"extends": "tiny"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    own = {"bare": {"seeds": [0]}, "whole": {"methods": {"fixmatch": None}, "ablations": {"cut": None}}}
    suites = load({"suites": own}).suites
    assert suites["bare"].ablations == {} and suites["bare"].seeds == (0,)
    assert list(suites["whole"].methods) == ["supervised"] and suites["whole"].ablations == {}
    assert list(suites["tiny"].ablations) == ["cut"]
    tuned = {"extends": "tiny", "tune": {"at": 4, "trials": 2, "methods": None}}
    assert load({"suites": {"tuned": tuned}}).suites["tuned"].tune.methods is None


def test_a_list_of_methods_is_chosen_from_and_added_to(load, tmp_path):
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    content["suites"]["tiny"]["methods"] = ["supervised", "fixmatch"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    one = {"extends": "tiny", "only": ["fixmatch"]}
    more = {"extends": "tiny", "methods": {"mean_teacher": {}}}
    suites = load({"suites": {"one": one, "more": more, "tiny": {"methods": {"cps": {}}}}}).suites
    assert list(suites["one"].methods) == ["fixmatch"]
    assert list(suites["more"].methods) == ["supervised", "fixmatch", "cps", "mean_teacher"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_changes_nothing(load, text):
    assert load(text).suite == "tiny"


def test_plugins_of_both_files_are_joined(load, tmp_path):
    """As for a process that reads the two files itself."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text("from semiseg.methods import Method\n\nclass Mine(Method):\n    pass\n")
    with (tmp_path / "params.yaml").open("a") as stream:
        stream.write("plugins: [first.py]\n")
    load({"plugins": ["second.py", "./first.py"]})
    assert {"first", "second"} <= set(methods.names())
    load("")
    assert "first" in methods.names()
    assert "second" not in methods.names()


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
        ({"plugins": ["mine.py"]}, r"params\.local\.yaml: plugins: .*mine\.py does not exist"),
        ({"suite": "none"}, r"params\.local\.yaml: suite: there is no suite 'none'"),
        ({"datasets": {"f": 3}}, r"params\.local\.yaml: datasets\.f: expected a mapping of `key: value` \(found 3\)$"),
        (
            {"datasets": {"f": {"kind": "folder", "data_root": 3}}},
            r"params\.local\.yaml: datasets\.f\.data_root: expected a path \(found 3\)$",
        ),
        (
            {"datasets": {2024: {"kind": "folder"}}},
            r"params\.local\.yaml: datasets\.2024: the name 2024 must be text; write it in quotes$",
        ),
        ({"suites": {"x": {"extends": "tinny"}}}, r"params\.local\.yaml: suites\.x\.extends: there is no suite"),
        ({"suites": {"x": {"extends": "tiny", "seeds": 3}}}, r"params\.local\.yaml: suites\.x\.seeds: expected a list"),
        (
            {"suites": {"x": {"extends": "tiny", "seeds": [1.5]}}},
            r"\A\S+params\.local\.yaml: suites\.x\.seeds\.0: [^\n]*\Z",
        ),
        ({"suites": {"x": {"dataset": "tiny"}}}, r"params\.local\.yaml: suites\.x\.splits: this key is missing"),
        (
            {"suites": {"x": {"extends": "tiny", "dataset": "no"}}},
            r"params\.local\.yaml: suites\.x\.dataset: there is no",
        ),
        (
            {"suites": {"x": {"extends": "tiny", "methods": {"fixmatch": {"at": ["9"]}}}}},
            r"params\.local\.yaml: suites\.x\.methods\.fixmatch\.at: '9' is not among",
        ),
        ({"methods": {"fixmach": {}}}, r"params\.local\.yaml: methods\.fixmach: there is no method"),
    ],
)
def test_mistakes_are_answered_with_their_file(load, local, sentence):
    with pytest.raises(UserError, match=sentence):
        load(local)


@pytest.mark.parametrize(
    ("change", "local"),
    [
        ({"recipe": {"iterations": -1}}, {"suites": {"tiny": {"seeds": [7]}}}),
        ({"seeds": [-1]}, {"suites": {"mine": {"extends": "tiny"}}}),
        ({"dataset": "no"}, {"suites": {"tiny": {"title": "Mine"}}}),
        ({"splits": {"family": ["random:0", "random:1"], "paired": True}}, {"suites": {"mine": {"extends": "tiny"}}}),
    ],
)
def test_mistakes_in_params_stay_there(load, tmp_path, change, local):
    """Once, although the local file has the same suite, or one that extends it."""
    raw = tiny.params({"supervised": {}})
    for key, value in change.items():
        raw["suites"]["tiny"][key] = raw["suites"]["tiny"][key] | value if isinstance(value, dict) else value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(UserError, match=r"\A\S+params\.yaml: suites\.tiny[.:][^\n]*\Z"):
        load(local)


def test_a_plugin_that_defines_nothing(load, tmp_path):
    (tmp_path / "empty.py").write_text("VALUE = 3\n")
    with pytest.raises(
        UserError,
        match=r"params\.local\.yaml: plugins: .*empty\.py defines nothing that can be added \(method, kind of data set",
    ):
        load({"plugins": ["empty.py"]})
