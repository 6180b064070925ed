"""Runs that need other runs, through Snakemake: trained in order, once, and again if a teacher changes."""

from __future__ import annotations

import csv

import pytest

from tests import tiny

METHODS = {"supervised": {}, "st_plus_plus": {"at": [4], "options": {"scales": [1.0]}}}


@pytest.fixture
def content():
    return tiny.params(METHODS, splits={"partitions": [4]}, recipe={"iterations": 8})


def states(work) -> dict[str, tuple[str, str]]:
    with (work.folder / "tables/comparison.csv").open() as stream:
        return {row["method"]: (row["state"], row["reason"]) for row in csv.DictReader(stream)}


@pytest.mark.slow
def test_stages_are_trained_once_and_again_when_the_teacher_changes(study, content):
    work = study(content, prepared=True)
    first = work.snakemake("tables")
    assert first.code == 0, first.text
    assert first.jobs("train") == 3, "the teacher is the supervised run that the table shows as well"
    assert states(work) == {"supervised": ("done", ""), "st_plus_plus": ("done", "")}
    trained = work.trained()
    assert "Nothing to be done" in work.snakemake("tables").text

    # A change of the last student alone: its teacher and the first student stay.
    content["suites"]["tiny"]["methods"]["st_plus_plus"]["variants"] = ["default", {"control": "oracle"}]
    work.write(content)
    another = work.snakemake("train_all")
    assert (another.code, another.jobs("train")) == (0, 1), another.text
    assert {path: made for path, made in work.trained().items() if path in trained} == trained

    content["methods"]["supervised"] = {"cutmix_probability": 0.25}
    work.write(content)
    changed = work.snakemake("train_all", "-n")
    assert changed.code == 0 and "train" in changed.text
    again = work.snakemake("train_all")
    assert (again.code, again.jobs("train")) == (0, 4), again.text
    assert not set(work.trained().items()) & set(trained.items())


def test_students_of_a_failed_teacher_are_not_run(study, content):
    content["suites"]["tiny"]["recipe"]["optimiser"]["lr"] = 1e30
    work = study(content, prepared=True)
    outcome = work.snakemake("all", "--retries", "0")
    assert outcome.code != 0 and outcome.jobs("train") == 0
    assert states(work)["supervised"][0] == "failed"
    assert states(work)["st_plus_plus"] == ("missing", "not run: teacher failed")
