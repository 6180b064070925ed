"""The criterion on labelled images: which losses it adds up, and with which weights."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from semiseg.engine.supervision import make_criterion
from semiseg.models.outputs import Output
from semiseg.params.schema import Criterion


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
