from __future__ import annotations

import json

import pytest

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.runs import lease
from semiseg.runs.collect import PLANNED, collect, read, write

SCORE = {"iteration": 9, "miou": 50.0, "pixel_accuracy": 60.0, "per_class": [50.0], "absent": [], "confusion": [[1]]}


def planned(seed: int = 0, **changes) -> dict:
    described = dict.fromkeys(PLANNED)
    described |= {"suite": "s", "run": f"runs/d/cps-1_8/imas/default/seed{seed}", "split": "cps-1_8", "seed": seed}
    described |= {"method": "imas", "variant": "default", "spec_sha256": "wanted", "cells": [{"kind": "comparison"}]}
    return described | changes


def train(suite_dir, description, state="done", spec="wanted", evaluated=True):
    folder = suite_dir / description["run"]
    products = {"products": {"eval.json": "ab"}, "collected": {"source": "a colleague", "products": {}}}
    files.write_json(folder / "record.json", {"state": state, "spec_sha256": spec, "error": None} | products)
    if evaluated:
        networks = {"student": {"last": SCORE, "best": None, "lastk": {"miou": 50.0}}}
        files.write_json(folder / "eval.json", {"spec_sha256": spec, "networks": networks})


def test_a_finished_run_carries_its_scores_without_matrices_and_hashes_of_files(tmp_path):
    train(tmp_path, planned())
    [row] = collect(tmp_path, [planned()])
    assert row["state"] == "done" and row["seed"] == 0
    assert row["eval"]["networks"]["student"]["last"]["miou"] == 50.0
    assert row["record"]["collected"] == {"source": "a colleague"}
    assert "error" not in row["record"], "what is null is unknown"
    assert not any(left_out in json.dumps(row) for left_out in ("confusion", "products"))


@pytest.mark.parametrize("state", ["failed", "running"])
def test_states_come_from_the_record(tmp_path, state):
    train(tmp_path, planned(), state=state, evaluated=False)
    files.write_json(tmp_path / planned()["run"] / "lease.json", lease.identity())
    [row] = collect(tmp_path, [planned()])
    assert row["state"] == state and row["eval"] is None and row["record"].get("error") is None


@pytest.mark.parametrize("state", ["interrupted", "running"])
def test_a_training_that_died_is_not_said_to_run(tmp_path, state):
    train(tmp_path, planned(), state=state, evaluated=False)
    [row] = collect(tmp_path, [planned()])
    assert row["state"] == "missing" and "continue from its checkpoint" in row["reason"]


def test_missing_stale_and_unevaluated_runs_are_rows_too(tmp_path):
    train(tmp_path, planned(1), spec="old")
    train(tmp_path, planned(2), evaluated=False)
    rows = collect(tmp_path, [planned(0), planned(1), planned(2)])
    assert [row["state"] for row in rows] == ["missing"] * 3
    assert [row["eval"] for row in rows] == [None] * 3
    assert "another configuration" in rows[1]["reason"] and "not evaluated" in rows[2]["reason"]


def test_an_eval_of_other_weights_is_not_believed(tmp_path):
    train(tmp_path, planned(), evaluated=True)
    files.write_json(tmp_path / planned()["run"] / "eval.json", {"spec_sha256": "old", "networks": {}})
    assert collect(tmp_path, [planned()])[0]["eval"] is None


def test_a_cell_that_does_not_apply_is_a_row_with_its_reason(tmp_path):
    [row] = collect(tmp_path, [planned(run=None, seed=None, reason="no unlabelled images")])
    assert row["state"] == "not_applicable" and row["reason"] == "no unlabelled images" and row["run"] is None


def test_bytes_do_not_depend_on_the_order_of_the_plan(tmp_path):
    described = [planned(seed) for seed in (2, 0, 1)] + [planned(run=None, seed=None)]
    write(tmp_path / "a.jsonl", collect(tmp_path, described))
    write(tmp_path / "b.jsonl", collect(tmp_path, described[::-1]))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert len(read(tmp_path / "a.jsonl")) == 4


def test_a_broken_record_is_named(tmp_path):
    files.write_text(tmp_path / planned()["run"] / "record.json", "{")
    with pytest.raises(UserError, match="record.json is not valid JSON"):
        collect(tmp_path, [planned()])
