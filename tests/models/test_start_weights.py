"""Start weights that are already on this machine."""

from __future__ import annotations

import timm

from semiseg.models import start_weights, weights


def test_weights_in_the_cache_are_proposed_with_their_hash(monkeypatch):
    state = timm.create_model("mobilenetv2_100", num_classes=0).state_dict()
    monkeypatch.setattr(weights, "_pretrained", lambda name: state)
    monkeypatch.setattr(start_weights, "_cached", lambda encoder: "mobilenetv2" in encoder)
    found = start_weights.in_cache("cpu")
    assert (found.architecture, found.encoder, found.weights) == (*start_weights.LIGHT, "imagenet")
    assert found.network()["encoder_weights_sha256"] == weights.state_sha256(state)
    monkeypatch.setattr(start_weights, "_cached", lambda encoder: False)
    assert start_weights.in_cache("cpu") is None
