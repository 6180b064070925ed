"""Which edits make which runs stale: a copy of the package is edited, and current specs are compared."""

from __future__ import annotations

import ast
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import create_model

from semiseg.base import fingerprint
from semiseg.base.files import write_json
from semiseg.datasets import preparing
from semiseg.datasets.manifest import manifest_path
from semiseg.params import schema
from semiseg.params.recipe import Recipe
from semiseg.runs import spec
from semiseg.study.study import DATA, Study
from tests import tiny

METHODS = {"supervised": {"at": [4]}, "fixmatch": {"at": [4]}}
FPN = {"network": {"architecture": "fpn", "encoder": "resnet18"}}
RECIPES = {"pocket": {}, "voc": FPN}
# Two methods on pocket's images with the small network, one of them on VOC's with an FPN.
SUPERVISED, FIXMATCH, VOC = "supervised on pocket", "fixmatch on pocket", "fixmatch on voc"
ALL = {SUPERVISED, FIXMATCH, VOC}
CODE = "\nADDED = 1\n"
EDITS = {
    "the loop": ("engine/train.py", ALL),
    "the teacher": ("engine/ema.py", ALL),
    "the store of decoded images": ("feed/store.py", ALL),
    "the run's own reader": ("datasets/kinds/pocket/__init__.py", {SUPERVISED, FIXMATCH}),
    "another reader": ("datasets/kinds/voc.py", {VOC}),
    "a reader that no run has": ("datasets/kinds/camvid.py", set()),
    "the run's own architecture": ("models/architectures/small.py", {SUPERVISED, FIXMATCH}),
    "another architecture": ("models/architectures/smp.py", {VOC}),
    "parts of another architecture": ("models/parts/smp_parts.py", {VOC}),
    "an architecture that no run has": ("models/architectures/dpt.py", set()),
    "parts of an architecture that no run has": ("models/parts/vision_transformer.py", set()),
    "the run's own method": ("methods/fixmatch.py", {FIXMATCH, VOC}),
    "another method": ("methods/unimatch.py", set()),
    "a metric": ("scoring/metrics/calibration_error.py", set()),
    "a file of the report": ("report/statistics.py", set()),
    "a page of the report": ("report/html/pages.py", set()),
    "the schema of params.yaml": ("params/schema.py", set()),
    "the schema of a recipe": ("params/recipe.py", set()),
    "the keys of a network": ("models/network_config.py", set()),
    "the grid": ("study/grid.py", set()),
    "the record": ("engine/storage/record.py", set()),
    "the progress bar": ("engine/training_progress.py", set()),
    "a command": ("commands/train.py", set()),
}


def forget() -> None:
    for cached in (spec._fingerprint, preparing.code_of):
        cached.cache_clear()


def by_content(read: Callable) -> Callable:
    """Reads a module again after its file has changed; the package reads each module only once per process."""
    known = {}

    def module(name: str) -> tuple:
        key = (name, fingerprint._path(name).read_text())
        if key not in known:
            known[key] = read(name)
        return known[key]

    return module


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package, from which the code is hashed."""
    copy = tmp_path_factory.mktemp("edited") / "src/semiseg"
    shutil.copytree(fingerprint.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "PACKAGE", copy)
        patch.setattr(fingerprint, "_module", by_content(fingerprint._module.__wrapped__))
        forget()
        yield copy
    forget()


@pytest.fixture(scope="module")
def before(package, tmp_path_factory):
    """The specs with the code as it is."""
    with contextlib.chdir(tmp_path_factory.mktemp("before")):
        return wanted()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def study(kind: str, params: type[schema.Params] = schema.Params, **recipe) -> Study:
    """A suite over data of this kind, which the code as it is now has prepared."""
    content = tiny.params(
        METHODS, recipe=RECIPES[kind] | recipe, splits={"partitions": [4]}, evaluation={"evaluated_on": "val"}
    )
    content["datasets"]["tiny"] = {"kind": kind}
    made_from = {"code": preparing.code_of(kind)}
    write_json(manifest_path("tiny", DATA), {"sha256": "0" * 64, "made_from": made_from})
    return Study(params.model_validate(content))


def wanted() -> dict[str, dict]:
    """The spec of every run, by its name in this file."""
    found = {}
    for kind in RECIPES:
        made = study(kind)
        found |= {f"{run.method} on {kind}": made.specs.wanted(run) for run in made.plan.runs}
    return {name: found[name] for name in ALL}


def stale(file: Path, change: Callable[[str], str], before: dict[str, dict]) -> set[str]:
    """Edits the file, names the runs that this made stale, and takes the edit back."""
    text = file.read_text()
    edited = change(text)
    assert edited != text
    file.write_text(edited)
    try:
        forget()
        after = wanted()
    finally:
        file.write_text(text)
        forget()
    return {name for name in ALL if after[name] != before[name]}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_makes_stale_the_runs_that_use_the_file_and_no_others(what, package, before):
    file, expected = EDITS[what]
    assert stale(package / file, lambda text: text + CODE, before) == expected


def reworded(text: str) -> str:
    """The source with other words in the message of every error."""
    changed = text
    errors = [node.exc for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)]
    for error in errors:
        if isinstance(error, ast.Call):
            changed = changed.replace(ast.get_source_segment(text, error), f'{ast.unparse(error.func)}("Other words.")')
    return changed


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("models/weights.py", reworded),
        ("engine/train.py", lambda text: text.replace('"""', '"""Other words. ', 1)),
        ("engine/train.py", lambda text: f"# Other words.\n{text}"),
    ],
    ids=["error", "docstring", "comment"],
)
def test_words_make_no_run_stale(file, change, package, before):
    assert stale(package / file, change, before) == set()


def test_a_run_whose_recipe_differs_from_the_suite_s_is_judged_by_its_own():
    """A mask head has an optimiser of its own, whose keys are not at their defaults."""
    masks = {"name": "adamw", "lr": 0.001, "weight_decay": 0.01, "accumulate": 2, "clip": 0.5}
    methods = {"supervised": {"variants": ["default", {"head": "mask"}]}}
    own = Study(schema.Params.model_validate(tiny.params(methods, recipe={"mask_head_optimiser": masks})))
    [masked, *_] = [run for run in own.plan.runs if run.variant == "head=mask"]
    [usual, *_] = [run for run in own.plan.runs if run.variant == "default"]
    keys = {"recipe.optimiser.accumulate", "recipe.optimiser.clip"}
    assert keys <= set(own.specs.at_default(usual)) and not keys & set(own.specs.at_default(masked))


def test_a_new_key_at_its_default_makes_no_run_stale_and_another_value_does(before):
    recipe = create_model("Recipe", __base__=Recipe, patience=(int, 3))
    suite = create_model("Suite", __base__=schema.Suite, recipe=(recipe, ...))
    params = create_model("Params", __base__=schema.Params, suites=(dict[str, suite], ...))
    later, other = study("pocket", params), study("pocket", params, patience=4)
    for run in later.plan.runs:
        carried = before[f"{run.method} on pocket"]
        assert later.specs.wanted(run) != carried, "a run that is still to be trained gets the key"
        write_json(run.path / "spec.json", {"spec": carried, "sha256": spec.spec_sha256(carried)})
        assert later.specs.wanted(run) == carried
        assert other.specs.wanted(next(one for one in other.plan.runs if one.path == run.path)) != carried
