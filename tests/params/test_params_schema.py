"""params.schema.json is made from the model, and accepts the committed params.yaml."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.params.test_method_pages import documented

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "params.schema.json").read_text())


def content():
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def test_the_file_is_that_of_the_model():
    script = runpy.run_path(str(ROOT / "scripts/params_schema.py"))
    assert (ROOT / "params.schema.json").read_text() == script["text"](documented()), (
        "type `python scripts/params_schema.py`"
    )
    assert (ROOT / "params.yaml").read_text().startswith("# yaml-language-server: $schema=params.schema.json\n")


def test_the_committed_file_is_valid():
    jsonschema.validate(content(), SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("suites", "pocket", "recipe", "itterations"), 3),
        (("suites", "pocket", "recipe", "iterations"), "many"),
        (("datasets", "pocket", "kind"), 5),
        (("sweet",), "pocket"),
    ],
)
def test_a_mistake_is_seen(path, value):
    changed = content()
    *parents, last = path
    place = changed
    for key in parents:
        place = place[key]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, SCHEMA)
