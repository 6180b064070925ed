"""Discriminators between label maps and predicted probability maps (AdvSemiSeg, Hung et al. 2018)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from semiseg.models.parts.small_network import resize


class Discriminator(nn.Module):
    """Five 4x4 convolutions of stride 2, channels 64-128-256-512-1 at width 64, LeakyReLU(0.2), no normalisation.

    `fcn` gives one logit for each pixel, bilinearly up-sampled to the input (corners aligned, as in the official code);
    `non_fcn` gives one logit for each image, broadcast to its pixels, so that both have the same losses.
    """

    def __init__(self, classes: int, width: int, last: nn.Module):
        super().__init__()
        channels = [classes, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(channels[:-1], channels[1:], strict=True):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.last = last

    def forward(self, probabilities: Tensor) -> Tensor:
        logits = self.last(self.layers(probabilities)).float()
        size = probabilities.shape[-2:]
        if logits.shape[-2:] == (1, 1):
            return logits.expand(-1, -1, *size)
        return resize(logits, size, align_corners=True)


def build(kind: Literal["fcn", "non_fcn"], classes: int, width: int = 64) -> Discriminator:
    """Probabilities [B, C, H, W] to logits [B, 1, H, W]; inputs of 32x32 and more."""
    if kind == "fcn":
        return Discriminator(classes, width, nn.Conv2d(8 * width, 1, 4, 2, 1))
    # Free choice: averages the map first, because the paper's fully connected layer would fix the input size.
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, 1), nn.Unflatten(1, (1, 1, 1)))
    return Discriminator(classes, width, pooled)
