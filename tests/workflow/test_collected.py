"""Snakemake trains no run that has come in a submission, whether or not data and lists are there when it starts."""

from __future__ import annotations

import shutil

from semiseg.runs import submission
from tests import tiny


def test_a_fresh_clone_with_a_submission(study):
    content = tiny.params({"supervised": {}}, splits={"partitions": [4]})
    there, here = study(content, "there"), study(content, "here")
    assert there.snakemake("train_all").code == 0
    runs = there.folder / "runs"
    found = {path.parent.relative_to(runs).as_posix(): path.parent for path in runs.rglob("spec.json")}
    submission.pack(here.folder / "submissions/day-1", "day-1", there.folder, found)

    done = here.snakemake("train_all")
    assert done.code == 0, done.text
    assert done.jobs("train") == 1  # without data nobody could know; the job looks, and copies
    assert not here.trained()

    shutil.rmtree(here.folder / "runs")
    again = here.snakemake("train_all", "-n")
    assert "Nothing to be done" in again.text, again.text
    assert list((here.folder / "runs").rglob("spec.json"))
