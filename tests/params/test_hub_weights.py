"""The recorded hash of the hub's weights stands for one that params.yaml does not give."""

from __future__ import annotations

import copy

import pytest

from semiseg.params import hub_weights

HUB = {"encoder": "tu-resnet18.tv_in1k", "encoder_weights": "imagenet"}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (HUB, 64 * "a"),
        (HUB | {"encoder_weights_sha256": 64 * "b"}, 64 * "b"),
        (HUB | {"encoder": "tu-resnet50.tv_in1k"}, None),
        (HUB | {"encoder_weights": "none"}, None),
    ],
    ids=["recorded", "given", "another encoder", "from scratch"],
)
def test_which_hash_counts(tmp_path, monkeypatch, network, expected):
    monkeypatch.chdir(tmp_path)
    hub_weights.record("tu-resnet101.tv_in1k", 64 * "c")
    hub_weights.record("tu-resnet18.tv_in1k", 64 * "a")
    suites = {"mine": {"recipe": {"network": copy.deepcopy(network)}}}
    hub_weights.fill_in(suites, tmp_path)
    assert suites["mine"]["recipe"]["network"].get("encoder_weights_sha256") == expected


def test_suites_of_a_wrong_form_are_left_to_the_schema(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub_weights.record("tu-resnet18.tv_in1k", 64 * "a")
    suites = {"text": "x", "none": {}, "list": {"recipe": []}, "word": {"recipe": {"network": "small"}}}
    before = copy.deepcopy(suites)
    hub_weights.fill_in(suites, tmp_path)
    assert suites == before
