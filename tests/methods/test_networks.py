"""One step of every method on the real small network, batch norm and mask head included."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semiseg import views
from semiseg.methods import Channels, names
from semiseg.models import criteria, networks
from semiseg.models.mask_criterion import mask_classification
from semiseg.models.network_config import NetworkConfig
from tests.methods.conftest import CLASSES, StubStep


class Pixels(nn.Module):
    """A network that takes pixels, like those of the engine."""

    def __init__(self, head: str) -> None:
        super().__init__()
        self.network = networks.build(NetworkConfig(width=8, mask_width=32, queries=8), CLASSES, head)
        self.decode = self.network.decode

    def encode(self, pixels):
        return self.network.encode(views.normalise(pixels))

    def forward(self, pixels):
        return self.network(views.normalise(pixels))

    def frozen(self, pixels):
        self.network.eval()
        with torch.no_grad():
            output = self(pixels)
        self.network.train()
        return output


def supervised(output, label):
    if output.regions is not None:
        return mask_classification(output.regions, label)
    return criteria.cross_entropy(output.logits, label)


@pytest.mark.parametrize("name", [*names(), "supervised with a mask head"])
def test_a_step_moves_every_parameter(batch, make, name):
    method = make("supervised", head="mask") if name not in names() else make(name)
    torch.manual_seed(0)
    first, second, average = (Pixels(method.head) for _ in range(3))
    step = StubStep(
        student=first,
        second=second,
        teacher=average.frozen,
        student_eval=first.frozen,
        supervised=supervised,
        auxiliary=method.auxiliary(),
        modules=first.network.owned,
        teacher_modules=average.network.owned,
    )
    for one in (first, average):
        one.network.owned.update(method.owned(Channels((8, 16, 32), 16)))
    sum(method.losses(batch, step).values()).backward()
    trained = [first, second][: method.networks]
    if step.auxiliary is not None:
        step.auxiliary.zero_grad()
        sum(method.auxiliary_losses(batch, step).values()).backward()
        trained.append(step.auxiliary)
    for module in trained:
        missing = [key for key, p in module.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert not missing
    assert all(p.grad is None for p in average.parameters()), "the teacher is no part of the gradient"
