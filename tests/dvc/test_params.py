"""`dvc exp run -S` rewrites params.yaml: the layout of other lines may change, but not their meaning."""

from __future__ import annotations

import shutil

import yaml
from dvc.utils.hydra import apply_overrides

from semiseg.base.yaml_loader import UniqueKeys
from tests.dvc.clone import REPOSITORY


def test_rewritten_by_dvc_it_says_the_same(tmp_path):
    path = tmp_path / "params.yaml"
    shutil.copy(REPOSITORY / "params.yaml", path)
    before = yaml.load(path.read_text(), UniqueKeys)
    apply_overrides(path, ["suites.pocket.recipe.optimiser.lr=0.00002"])
    assert "2e-05" in path.read_text()
    after = yaml.load(path.read_text(), UniqueKeys)
    assert after["suites"]["pocket"]["recipe"]["optimiser"].pop("lr") == 2e-5
    before["suites"]["pocket"]["recipe"]["optimiser"].pop("lr")
    assert after == before


def test_words_and_numbers_of_yaml_1_2():
    text = "[off, yes, true, 1e-5, 1.0e-4, .5, 010, 1:30, 1/8, -3, null, .inf]"
    expected = ["off", "yes", True, 1e-5, 1e-4, 0.5, 10, "1:30", "1/8", -3, None, float("inf")]
    assert yaml.load(text, UniqueKeys) == expected
