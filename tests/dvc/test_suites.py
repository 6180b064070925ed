"""Several suites in one commit, a push without a remote, and the suite as an experiment's only key."""

from __future__ import annotations

import copy
import shutil

import pytest
import yaml

from tests.dvc import clone
from tests.dvc.clone import Clone


@pytest.fixture
def work(tmp_path, monkeypatch) -> Clone:
    """Two suites of one run each on different data, both in the list of dvc.yaml, without results."""
    content = clone.content()
    small = content["suites"]["tiny"]
    small |= {"methods": {"supervised": {}}, "ablations": {}}
    content["datasets"]["elsewhere"] = copy.deepcopy(content["datasets"]["tiny"])
    content["suites"]["other"] = copy.deepcopy(small) | {"seeds": [1], "dataset": "elsewhere"}
    monkeypatch.setattr(clone, "content", lambda: content)
    made = clone.create(tmp_path / "study", tmp_path / "home")
    shutil.copytree(made.root / "data/tiny/raw", made.root / "data/elsewhere/raw")
    stages = (made.root / "dvc.yaml").read_text().replace('["${suite}"]', '["${suite}", other, tiny]')
    (made.root / "dvc.yaml").write_text(stages)
    return made


def test_two_suites_in_one_commit_and_the_suite_is_one_key(work):
    assert work.must("dvc", "repro", "train@other").trainings == 1
    assert not (work.root / "results/tiny/runs").exists()
    work.must("dvc", "repro")
    before = set(yaml.safe_load((work.root / "dvc.lock").read_text())["stages"])
    assert {"report@tiny", "report@other"} <= before
    work.commit("both")
    changed = work.must("dvc", "exp", "run", "-S", "suite=other")
    assert changed.trainings == 0, "the other suite is made already, and needs no second key"
    assert set(yaml.safe_load((work.root / "dvc.lock").read_text())["stages"]) == before, "nothing is dropped"
    drawn = work.must("dvc", "plots", "show", "--json").text
    assert "results/other/metrics/training_curves.csv" in drawn


def test_a_push_without_a_remote_says_what_to_add(work):
    work.must("dvc", "remote", "remove", "results")
    work.must("dvc", "repro", "data")
    pushed = work.run("dvc", "push")
    assert pushed.code != 0 and "dvc remote add" in pushed.text
