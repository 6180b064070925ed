"""The inputs of networks: pixels, strong views, and the normalisation that ImageNet weights expect.

Pixels are float32 [B,3,H,W] RGB with whole values 0..255. Views are computed for the whole batch on
its device. The host draws one vector of parameters per sample, keyed by (seed, iteration, sample), and never waits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.views.colour import constant
from semiseg.views.photometric import photometric
from semiseg.views.randaugment import AUGSEG, IMAS, rand_augment

__all__ = ["AUGSEG", "IMAS", "normalise", "photometric", "rand_augment", "to_pixels"]

_MEAN = tuple(255 * value for value in (0.485, 0.456, 0.406))
_DEVIATION = tuple(255 * value for value in (0.229, 0.224, 0.225))


def to_pixels(images: Tensor) -> Tensor:
    """Pixels from uint8 [B,3,H,W], stored plane by plane for the colour operations."""
    return images.to(torch.float32, memory_format=torch.contiguous_format)


def normalise(pixels: Tensor) -> Tensor:
    """(x / 255 - mean) / standard deviation of ImageNet."""
    return (pixels - constant(_MEAN, pixels.device)) / constant(_DEVIATION, pixels.device)
