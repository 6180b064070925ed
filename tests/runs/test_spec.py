"""Specs: what makes a finished run stale, and what must not."""

from __future__ import annotations

import pytest

from semiseg import methods
from semiseg.runs import spec


def config(method="fixmatch", architecture="small"):
    return {"method": {"name": method}, "recipe": {"network": {"architecture": architecture}}}


@pytest.mark.parametrize("method", methods.names())
def test_the_fingerprint_holds_what_trains_and_nothing_else(method):
    modules = spec.training_fingerprint(config(method))
    assert f"semiseg.methods.{method}" in modules
    used = {"semiseg.engine.train", "semiseg.feed.loader", "semiseg.models.networks", "semiseg.engine.ema"}
    assert used <= set(modules)
    others = {f"semiseg.methods.{name}" for name in methods.names()} - {f"semiseg.methods.{method}"}
    assert not others & set(modules), "a change of one method retrained another"
    rooms = ("params", "study", "datasets", "splits.lists", "report", "commands", "cluster", "inference", "bench")
    assert not [name for name in modules if name.startswith(tuple(f"semiseg.{room}" for room in rooms))]
    assert not {"semiseg.engine.training_progress", "semiseg.runs.lease", "semiseg.base.registry"} & set(modules)


def test_of_all_architectures_a_run_holds_its_own():
    small, fpn = spec.training_fingerprint(config()), spec.training_fingerprint(config(architecture="fpn"))
    assert {"semiseg.models.architectures.small", "semiseg.models.parts.small_network"} <= set(small)
    assert not {"semiseg.models.architectures.smp", "semiseg.models.parts.vision_transformer"} & set(small)
    assert {"semiseg.models.architectures.smp", "semiseg.models.parts.smp_parts"} <= set(fpn)


def test_a_key_that_did_not_exist_yet_makes_nothing_stale_at_its_default():
    new = {"config": {"a": 1, "block": {"old": 2, "new": 3}}, "data": "d", "split": "s", "code": {"m": "1"}}
    old = {**new, "config": {"a": 1, "block": {"old": 2}}}
    assert spec.as_carried(new, old, ["block.new"]) == old
    assert spec.as_carried(new, old, []) == new
    assert spec.as_carried(new, old | {"data": "other"}, ["block.new"]) == new
    assert spec.as_carried(new, {**old, "config": {"block": {"old": 2}}}, ["block.new"]) == new
    assert spec.as_carried(new, None, ["block.new"]) == new


def staged(**teacher):
    """A student's configuration, which holds its teacher's."""
    return config("st_plus_plus") | {"needs": {"teacher": {"run": "there", "config": config("supervised") | teacher}}}


def test_a_new_key_at_its_default_makes_no_student_stale():
    old, new = (spec.make_spec(one, "d", "s") for one in (staged(), staged(seed=0)))
    assert old["needs"] != new["needs"]
    assert spec.as_carried(new, old, spec.as_needed(["seed"], "teacher")) == old
    assert spec.as_carried(new, old, ["seed"]) == new, "the student's own key is another one"
    assert spec.as_carried(new, old, spec.as_needed(["seed"], "first_student")) == new
    assert spec.as_carried(spec.make_spec(staged(seed=1), "d", "s"), old, []) != old
    assert spec.of_needed(["seed", *spec.as_needed(["recipe.crop"], "teacher")], "teacher") == ["recipe.crop"]
    # Whoever is older in another way is stale: its teacher was trained with other code.
    assert spec.as_carried(new, old | {"needs": {"teacher": "?"}}, spec.as_needed(["seed"], "teacher")) == new


def test_a_student_differs_in_code_alone_where_its_teacher_does():
    new = spec.make_spec(staged(), "d", "s")
    old = new | {"needs": {"teacher": "?"}}
    assert spec.differs_in_code_alone(old, new, []) and not spec.differs_in_code_alone(new, new, [])
    assert spec.with_code_of(old, new) == new
    assert spec.changed_needs(old, new) == ["the needed run teacher"]
    assert not spec.differs_in_code_alone(old, spec.make_spec(staged(seed=1), "d", "s"), [])


def test_runs_that_differ_in_code_alone():
    new = {"config": {"a": 1, "b": 2}, "data": "d", "split": "s", "code": {"m": "1"}}
    assert spec.differs_in_code_alone(new | {"code": {"m": "0"}}, new, [])
    assert spec.differs_in_code_alone({**new, "code": {}, "config": {"a": 1}}, new, ["b"])
    assert not spec.differs_in_code_alone({**new, "code": {}, "config": {"a": 1}}, new, [])
    assert not spec.differs_in_code_alone(new, new, [])
    assert not spec.differs_in_code_alone(None, new, [])


def test_differences_name_the_parameter_the_data_the_list_and_the_file():
    old = {"config": {"a": {"b": 1}}, "data": "d", "split": "s", "code": {"semiseg.engine.ema": "1", "n": "1"}}
    new = {"config": {"a": {"b": 2}}, "data": "e", "split": None, "code": {"semiseg.engine.ema": "2", "n": "1"}}
    reasons = " | ".join(spec.differences(old, new))
    assert "a.b: 1 -> 2" in reasons
    assert "the data set changed" in reasons
    assert "labelled images is not prepared" in reasons
    assert "code changed in src/semiseg/engine/ema.py" in reasons
    assert spec.differences(old, old) == []
    assert spec.differences(None, new) == ["it has not been trained"]
