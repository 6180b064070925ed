"""AdvSemiSeg's discriminators."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semiseg.models.parts import discriminators


@pytest.mark.parametrize("kind", ["fcn", "non_fcn"])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (65, 97)])
def test_one_logit_for_each_pixel_of_the_input(kind: str, size: tuple[int, int]) -> None:
    logits = discriminators.build(kind, classes=4, width=8)(torch.rand(2, 4, *size))
    assert logits.shape == (2, 1, *size)


def test_layers_are_the_papers() -> None:
    convolutions = [m for m in discriminators.build("fcn", classes=21).modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 1]
    assert {(c.kernel_size, c.stride, c.padding) for c in convolutions} == {((4, 4), (2, 2), (1, 1))}
    slopes = [m.negative_slope for m in discriminators.build("fcn", 21).modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 4


def test_logits_equal_convolutions_and_aligned_upsampling() -> None:
    torch.manual_seed(0)
    net, x = discriminators.build("fcn", 3, width=4), torch.rand(1, 3, 96, 96)
    y = x
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    for convolution in convolutions[:-1]:
        y = nn.functional.leaky_relu(nn.functional.conv2d(y, convolution.weight, convolution.bias, 2, 1), 0.2)
    y = nn.functional.conv2d(y, convolutions[-1].weight, convolutions[-1].bias, 2, 1)
    assert y.shape[-2:] == (3, 3)
    result = net(x)
    corners = result[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, y[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]])


def test_image_discriminator_gives_one_value_per_image_and_differs_between_images() -> None:
    logits = discriminators.build("non_fcn", 3, width=8)(torch.rand(2, 3, 64, 64))
    assert (logits.flatten(1).std(dim=1) == 0).all()
    assert logits[0, 0, 0, 0] != logits[1, 0, 0, 0]


@pytest.mark.parametrize("kind", ["fcn", "non_fcn"])
def test_every_parameter_has_a_gradient(kind: str) -> None:
    torch.manual_seed(0)
    net = discriminators.build(kind, 3, width=8)
    net(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
