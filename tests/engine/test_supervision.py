"""The criterion on labelled images: which losses it adds up, and with which weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from semiseg.base.errors import UserError
from semiseg.engine.supervision import class_weights, make_criterion
from semiseg.models.outputs import Output
from semiseg.params.recipe import Criterion


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.5])
def test_the_auxiliary_head_counts_with_its_weight(weight):
    generator = torch.Generator().manual_seed(0)
    logits, auxiliary = torch.randn(2, 2, 3, 8, 8, generator=generator)
    label = torch.randint(0, 3, (2, 8, 8), generator=generator)
    label[0, :2] = 255
    features = torch.zeros(2, 4, 2, 2)
    criterion = make_criterion(Criterion(auxiliary_weight=weight).model_dump())
    alone = F.cross_entropy(logits, label, ignore_index=255)
    beside = F.cross_entropy(auxiliary, label, ignore_index=255)
    assert criterion(Output(logits, features), label) == pytest.approx(float(alone), abs=1e-6)
    assert criterion(Output(logits, features, auxiliary), label) == pytest.approx(
        float(alone + weight * beside), abs=1e-6
    )


def pixels(logits, label):
    """(probabilities, class) of the valid pixels, in float64."""
    found = F.softmax(logits.double(), 1).permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    return [(p.tolist(), int(k)) for p, k in zip(found, label.reshape(-1), strict=True) if k != 255]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, 6, 6, generator=generator)
    label = torch.randint(0, 3, (2, 6, 6), generator=generator)  # the last class is absent
    label[0, :2] = 255
    return logits, label


@pytest.mark.parametrize("name", ["cross_entropy", "ohem", "boundary_relaxed"])
def test_class_weights_are_those_of_a_weighted_mean(name, batch):
    logits, label = batch
    weights = torch.tensor([1.0, 5.0, 0.2, 3.0])
    # Every pixel is kept by OHEM, and every window of one pixel holds one class: all three are cross-entropy then.
    settings = Criterion(name=name, min_kept=10**6).model_dump()
    found = make_criterion(settings, weights)(Output(logits, logits), label)
    if name == "boundary_relaxed":
        from semiseg.models.criteria import boundary_relaxed

        found = boundary_relaxed(logits, label, window=1, weights=weights)
    valid = pixels(logits, label)
    total = sum(-math.log(p[k]) * float(weights[k]) for p, k in valid)
    assert float(found) == pytest.approx(total / sum(float(weights[k]) for _, k in valid), rel=1e-5)


def test_soft_dice_is_its_formula(batch):
    logits, label = batch
    plain = make_criterion(Criterion().model_dump())(Output(logits, logits), label)
    both = make_criterion(Criterion(dice=0.5).model_dump())(Output(logits, logits), label)
    valid = pixels(logits, label)
    coefficients = []
    for k in range(3):
        common = sum(p[k] for p, true in valid if true == k)
        coefficients.append((2 * common + 1) / (sum(p[k] for p, _ in valid) + sum(true == k for _, true in valid) + 1))
    assert float(both - plain) == pytest.approx(0.5 * (1 - sum(coefficients) / 3), rel=1e-5)
    assert float(make_criterion(Criterion(dice=1.0).model_dump())(Output(logits, logits), label * 0 + 255)) == 0


def test_balanced_weights_come_from_the_labels_that_the_method_sees():
    labels = [np.full((10, 10), 0), np.full((10, 10), 255), np.r_[np.full(96, 0), np.full(4, 1)]]
    found = class_weights("balanced", ["a", "b", "absent"], labels, torch.device("cpu"))
    median = (196 + 4) / 2
    assert found.tolist() == pytest.approx([math.sqrt(median / 196), math.sqrt(median / 4), 1.0])
    assert class_weights("none", ["a", "b"], labels, torch.device("cpu")) is None
    assert class_weights({"b": 3.0}, ["a", "b"], labels, torch.device("cpu")).tolist() == [1.0, 3.0]
    with pytest.raises(UserError, match="there is no class 'weeds'; did you mean 'weed'"):
        class_weights({"weeds": 3.0}, ["soil", "weed"], labels, torch.device("cpu"))


def test_a_class_that_is_never_predicted_is_pointed_out_first_and_last(build):
    said = []
    training = build(optimiser={"name": "sgd", "lr": 1e-9})
    for module in (one for trained in training.state.trained.values() for one in trained.modules()):
        if getattr(module, "out_channels", 0) == 3 and module.bias is not None:
            torch.nn.init.constant_(module.bias[2:], -100)
    training.say = said.append
    training.run()
    alarms = [line for line in said if "is never predicted on test" in line]
    assert ["iteration 4;" in alarms[0], "iteration 12;" in alarms[1], len(alarms)] == [True, True, 2]
    assert "class_weights: balanced" in alarms[0]
