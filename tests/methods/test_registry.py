"""Finding methods, their options, and the checks before a training."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.methods import MethodOptions, Setting

ALL = methods.names()


def test_the_papers_methods_are_there():
    assert {"supervised", "advsemiseg", "scl", "rc2l", "imas"} < set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_declarations(name, setting):
    kind = methods.load(name)
    options = kind.Options()
    assert isinstance(options, MethodOptions)
    kind.check(options, setting)
    method = kind(options, setting)
    assert method.needs_teacher or method.reports == "student"
    assert kind.Options.model_validate(options.model_dump(mode="json")) == options
    assert not kind.needs_unlabelled(options) or method.uses_unlabelled
    assert kind.title and kind.year < 2030
    assert (kind.fidelity == "") == (name == "supervised")
    for changes in kind.variant_names.values():
        kind.Options(**changes)


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_option_is_refused(name):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        methods.load(name).Options(treshold=0.5)


@pytest.mark.parametrize("proportion", [(0.5, 0.25), (0, 0.5), (0.5, 1.2)])
def test_boxes_of_impossible_sizes_are_refused(proportion):
    with pytest.raises(ValidationError):
        methods.load("cps").Options(proportion=proportion)


def test_an_unknown_method_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="no method 'fixmach'; did you mean 'fixmatch'"):
        methods.load("fixmach")
    with pytest.raises(UserError, match="no method '_terms'"):
        methods.load("_terms")


@pytest.mark.parametrize("name", ["mean_teacher", "scl"])
def test_a_ramp_up_longer_than_the_training_is_refused(name, setting):
    kind = methods.load(name)
    with pytest.raises(UserError, match="ramp_up: 1.2 .* 120 iterations .* 100 of the training"):
        kind.check(kind.Options(ramp_up=1.2), setting)


def test_cutmix_and_shuffling_need_a_second_image(setting):
    alone = dataclasses.replace(setting, batch=1)
    fixmatch, mean_teacher = methods.load("fixmatch"), methods.load("mean_teacher")
    with pytest.raises(UserError, match="CutMix pastes one into another"):
        methods.check(fixmatch, fixmatch.Options(), alone)
    methods.check(fixmatch, fixmatch.Options(cutmix_probability=0), alone)
    methods.check(mean_teacher, mean_teacher.Options(), alone)
    with pytest.raises(UserError, match="control: shuffled"):
        methods.check(mean_teacher, mean_teacher.Options(control="shuffled"), alone)


def test_the_gaussian_ramp_up():
    from semiseg.methods._terms import gaussian_ramp_up

    def at(iteration, share):
        return gaussian_ramp_up(SimpleNamespace(iteration=iteration, iterations=100), share)

    assert [at(0, 0.5), at(25, 0.5), at(50, 0.5), at(99, 0.5)] == pytest.approx([0.006738, 0.286505, 1, 1], rel=1e-4)
    assert at(0, 0) == 1


def test_a_setting_from_the_recipe():
    recipe = {
        "iterations": 10,
        "crop": [64, 48],
        "batch": {"labelled": 2, "unlabelled": 6},
        "augment": {"strength": 0.5},
        "optimiser": {"accumulate": 1},
    }
    assert Setting.of(recipe, "voc") == Setting(10, (64, 48), 6, background=0, strength=0.5)
    assert Setting.of(recipe, "cityscapes", 19) == Setting(10, (64, 48), 6, None, 0.5, 19)


def test_options_are_read_without_torch():
    """The workflow reads them on every call, and torch takes seconds to import."""
    program = (
        "import sys; from semiseg import methods; "
        "[methods.load(name).Options() for name in methods.names()]; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'scipy', 'cv2', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(("name", "option", "value"), [
    ("scl", "structured", "off"), ("scl", "pixels", "64"), ("scl", "mirror", 0), ("fixmatch", "confidence", True),
    ("cps", "lambda_cps", float("inf")),
])  # fmt: skip
def test_words_for_numbers_and_what_json_has_not_are_refused(name, option, value):
    with pytest.raises(ValidationError):
        methods.load(name).Options(**{option: value})


def test_partners_are_those_that_a_step_sees_at_once():
    batch = {"labelled": 4, "unlabelled": 4}
    recipe = {"iterations": 9, "crop": [64, 64], "batch": batch, "augment": {"strength": 1.0}}
    setting = methods.Setting.of(recipe | {"optimiser": {"accumulate": 4}}, "pocket")
    with pytest.raises(UserError, match="1 unlabelled image goes through a step at once"):
        methods.load("cutmix_seg").check(methods.load("cutmix_seg").Options(), setting)
