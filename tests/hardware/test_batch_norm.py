"""Batch normalisation over two gloo processes with half of the batch each, against one with the whole batch."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from semiseg.base.errors import UserError
from semiseg.hardware import batch_norm, distributed
from tests.hardware.test_distributed import run_two

CPU = torch.device("cpu")


def plain():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3))


def mobile_net():
    return timm.create_model("mobilenetv2_035", num_classes=8)


def outcome(network, images, wanted):
    """Loss, gradients, and statistics after two steps of the engine's kind: gradients are averaged."""
    for _ in range(2):
        network.zero_grad()
        found = network(images)
        loss = ((found - wanted) ** 2).mean()
        loss.backward()
        distributed.average_gradients([network])
    state = {f"state {key}": value.double() for key, value in network.state_dict().items()}
    slopes = {f"slope {key}": value.grad.double() for key, value in network.named_parameters()}
    return {"loss": distributed.average(loss.detach()).double()} | state | slopes


@pytest.mark.parametrize("make", [plain, mobile_net])
def test_two_processes_compute_what_one_does(make, tmp_path):
    torch.manual_seed(0)
    network = make().double().train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    images = torch.rand(4, 3, 32, 32).double() + torch.arange(4).view(4, 1, 1, 1)  # so that the halves differ
    wanted = torch.rand(network(images).shape).double()

    def work(rank):
        distributed.start(CPU)
        shared, rows = batch_norm.synchronise(copy.deepcopy(network)), slice(2 * rank, 2 * rank + 2)
        return outcome(shared, images[rows], wanted[rows])

    expected = outcome(copy.deepcopy(network), images, wanted)
    for found in run_two(tmp_path, work):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.allclose(found[name], value, rtol=1e-6, atol=1e-9), name


def test_evaluation_uses_the_running_statistics_and_the_activation_stays(tmp_path):
    torch.manual_seed(0)
    network, images = mobile_net(), torch.rand(2, 3, 32, 32)
    expected = network.eval()(images)

    def work(rank):
        distributed.start(CPU)
        shared = batch_norm.synchronise(copy.deepcopy(network))
        kinds = {type(module).__mro__[2].__name__ for module in shared.modules() if isinstance(module, nn.BatchNorm2d)}
        return {"found": shared.eval()(images), "kinds": sorted(kinds)}

    for found in run_two(tmp_path, work):
        assert torch.equal(found["found"], expected) and found["kinds"] == ["BatchNormAct2d"]


def test_one_process_changes_nothing():
    network = mobile_net()
    before = [type(module) for module in network.modules()]
    assert [type(module) for module in batch_norm.synchronise(network).modules()] == before


def test_a_layer_that_is_not_known_ends_with_a_sentence(monkeypatch):
    class Own(nn.BatchNorm2d):
        def forward(self, x):
            return 2 * super().forward(x)

    monkeypatch.setattr(batch_norm, "world", lambda: 2)
    with pytest.raises(UserError, match=r"1 is a Own, .*; train with recipe.gpus: 1"):
        batch_norm.synchronise(nn.Sequential(nn.ReLU(), Own(3)))


def test_in_bf16_the_statistics_keep_their_digits(tmp_path):
    images = 100 + torch.rand(4, 2, 16, 16)
    rounded = images.bfloat16()
    network = nn.BatchNorm2d(2)
    network(rounded.float())

    def work(rank):
        distributed.start(CPU)
        shared = batch_norm.synchronise(nn.BatchNorm2d(2))
        found = shared(rounded[2 * rank : 2 * rank + 2])
        return {"dtype": str(found.dtype), "variance": shared.running_var}

    for found in run_two(tmp_path, work):
        assert found["dtype"] == "torch.bfloat16"
        assert torch.allclose(found["variance"], network.running_var, rtol=1e-5)
