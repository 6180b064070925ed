"""The declared passes of methods equal the real number of images through networks, with and without gradient."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from semiseg.methods import names
from tests.methods.conftest import CLASSES, LABELLED, UNLABELLED, StubNetwork

DECODER = 0.3  # of a network, as `Passes` has it


CASES = [(name, {}) for name in names()] + [("supervised", {"bn": True}), ("supervised", {"strong": True})]


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_plan_counts_images_as_the_method_does(name, options, joint, batch, step, make, monkeypatch):
    encoded, decoded = Counter(), Counter()

    def counted(function, counter):
        def call(self, given, *size):
            images = given if isinstance(given, torch.Tensor) else given[0]
            counter[torch.is_grad_enabled()] += len(images)
            return function(self, given, *size)

        return call

    monkeypatch.setattr(StubNetwork, "encode", counted(StubNetwork.encode, encoded))
    monkeypatch.setattr(StubNetwork, "decode", counted(StubNetwork.decode, decoded))
    step.auxiliary = nn.Conv2d(CLASSES, 1, 3, padding=1)
    step.joint = joint
    method = make(name, **options)
    method.losses(batch, step)
    passes = method.passes
    trained = encoded[True] + DECODER * (decoded[True] - encoded[True])
    assert trained == pytest.approx(method.networks * (passes.labelled * LABELLED + passes.unlabelled * UNLABELLED))
    looked_at = passes.labelled_without_gradient * LABELLED + passes.without_gradient * UNLABELLED
    assert encoded[False] == method.networks * looked_at
