"""Estimates for trainings on a CPU agree with measurements within a factor of 2; docs/scaling.md has the table."""

from __future__ import annotations

import copy
import json
import re
import runpy
from pathlib import Path

import pytest

from semiseg.cluster import estimate
from semiseg.study.study import Study

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts/plan_against_runs.py"))
STORED = json.loads(SCRIPT["STORED"].read_text())


def name(one) -> str:
    return f"{one['config']['method']['name']}, {one['config']['dataset']['name']}"


@pytest.mark.parametrize("one", STORED, ids=name)
def test_time_and_memory_are_within_a_factor_of_2(one):
    seconds, memory = SCRIPT["planned"](one["config"], one["sets"])
    assert 0.5 < seconds / one["cpu_seconds"] < 2
    assert 0.5 < memory / one["peak_memory_mib"] < 2


def test_there_are_ten_runs_of_two_networks_and_more():
    assert len(STORED) >= 10
    assert {one["config"]["recipe"]["network"]["architecture"] for one in STORED} >= {"small", "fpn"}
    assert {one["config"]["method"]["name"] for one in STORED} >= {"supervised", "advsemiseg", "cutmix_seg", "unimatch"}


def test_the_page_has_today_s_table():
    found = (ROOT / "docs/scaling.md").read_text()
    assert SCRIPT["table"](STORED) in found, (
        "type `python scripts/plan_against_runs.py` and put its table into the page"
    )


def test_the_page_has_today_s_numbers_of_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    told = set(re.findall(r"`(\w+)`, (\d+) runs", (ROOT / "docs/scaling.md").read_text()))
    assert len(told) >= 2
    assert {(suite, str(len(Study.load(suite).plan.runs))) for suite, _ in told} == told


def test_a_wide_discriminator_is_planned():
    """With 64 channels it costs many times as much as the small network."""
    narrow = next(one["config"] for one in STORED if one["config"]["method"]["name"] == "advsemiseg")
    wide = copy.deepcopy(narrow)
    wide["method"]["options"]["width_d"] = 64
    assert estimate.step_seconds(wide, "cpu") > 5 * estimate.step_seconds(narrow, "cpu")
    assert estimate.step_gflops(wide) == estimate.step_gflops(narrow)


def test_a_data_set_that_is_resized_is_evaluated_at_that_size():
    """Also where its data are not at hand; at 375x500 an evaluation would take eleven times as long."""
    small = next(one["config"] for one in STORED if one["config"]["dataset"]["kind"] == "oxford_pets")
    large = copy.deepcopy(small)
    large["dataset"]["options"]["side"] = 256
    assert estimate.evaluation_seconds(large, "cpu") > 3 * estimate.evaluation_seconds(small, "cpu")


def test_what_the_check_found_comes_first_in_a_plan_alone(monkeypatch):
    [one] = [one for one in STORED if one["config"]["dataset"]["kind"] == "oxford_pets"][:1]
    monkeypatch.setattr(estimate, "_checked", lambda dataset, subset: (10, 64.0))
    assert set(estimate.evaluated_sets(one["config"], as_found=True).values()) == {(10, 64.0)}
    stated = {"test": (3669, 375 * 500), "val": (300, 375 * 500)}
    assert estimate.evaluated_sets(one["config"]) == {name: stated[name] for name in one["sets"]}
