"""What docs/own-data.md shows is accepted by the program."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.reading.classes import ClassesFile
from semiseg.params.schema import Suite

PAGE = Path(__file__).parents[2] / "docs" / "own-data.md"


def blocks(kind: str) -> list[dict]:
    found = re.findall(rf"^```yaml {kind}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(text) for text in found]


def test_every_block_of_the_page_is_valid() -> None:
    index, colour = (ClassesFile.model_validate(block) for block in blocks("classes"))
    assert (index.masks, colour.masks) == ("index", "colour")
    (dataset,) = (DatasetConfig.model_validate(block) for block in blocks("dataset"))
    assert re.search(dataset.group_pattern, "2024/a_001").group(1) == "2024"
    (suite,) = (Suite.model_validate(block) for block in blocks("suite"))
    assert suite.evaluation.evaluated_on == "test"


def test_the_page_names_every_setting_of_a_folder() -> None:
    text = PAGE.read_text()
    fields = {"data_root", "val_list", "val_share", "test_list", "test_share", "split_seed", "group_pattern", "extra"}
    assert fields < set(DatasetConfig.model_fields)
    assert all(f"`{name}`" in text for name in fields)
