"""PIL's colour operations on a batch of pixels, with one parameter per sample.

Pixels are float32 [B,3,H,W] RGB with whole values 0..255, before and after every operation: operations
round or truncate where PIL does, so a chain of operations does not drift from PIL's. Parameters are vectors [B].
`torch.where`, remainders and integer types are avoided: on a CPU they cost ten times an addition. The remaining
differences from PIL are tested for each operation in `tests/views/test_colour.py`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Channel constants [3,1,1].

    They are copied to the device once, because a copy in every step would make the host wait.
    """
    return torch.tensor(values, device=device)[:, None, None]


def grey(pixels: Tensor) -> Tensor:
    """PIL's convert("L"), [B,1,H,W]: ITU-R 601 weights in 16-bit fixed point, which float32 holds exactly."""
    luma = pixels[:, 0:1] * (19595 / 65536)
    luma.add_(pixels[:, 1:2], alpha=38470 / 65536).add_(pixels[:, 2:3], alpha=7471 / 65536)
    return luma.add_(0.5).floor_()


def to_grey(pixels: Tensor) -> Tensor:
    return grey(pixels).expand_as(pixels)


def brightness(pixels: Tensor, factor: Tensor) -> Tensor:
    return (pixels * _column(factor)).clamp_(max=255).floor_()


def contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    mean = grey(pixels).mean((1, 2, 3), keepdim=True).add_(0.5).floor_()
    return blend(mean, pixels, factor)


def saturation(pixels: Tensor, factor: Tensor) -> Tensor:
    return blend(grey(pixels), pixels, factor)


def blend(degenerate: Tensor, pixels: Tensor, factor: Tensor) -> Tensor:
    """PIL's Image.blend: `degenerate` at factor 0, `pixels` at factor 1, extrapolated beyond; truncated."""
    return (pixels - degenerate).mul_(_column(factor)).add_(degenerate).clamp_(0, 255).floor_()


def mitigate(strong: Tensor, weak: Tensor, strength: float) -> Tensor:
    """The strong view moved back towards the weak one: `strong` itself at strength 1, `weak` at 0."""
    return strong if strength == 1 else (weak + strength * (strong - weak)).round_()


def hue(pixels: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` of a full circle, through PIL's HSV: one byte each for hue, saturation and value."""
    planes = pixels.transpose(0, 1)
    value = torch.maximum(torch.maximum(planes[0], planes[1]), planes[2])
    below = torch.sub(value, planes.contiguous())
    spread = torch.maximum(torch.maximum(below[0], below[1]), below[2])
    angle = _hue_byte(below, spread)
    # As torchvision: the shift is truncated to a byte, and bytes wrap at 256 although the circle has 255 steps.
    angle.add_((shift * 255).trunc()[:, None, None])
    angle.sub_(torch.mul(angle, 1 / 256).floor_(), alpha=256)
    faded = spread.mul_(255).div_(value.clamp(min=1)).floor_().mul_(value).div_(255)  # value times saturation
    return _from_hsv(angle.div_(42.5), faded, value)


def _hue_byte(below: Tensor, spread: Tensor) -> Tensor:
    """floor(255 h) with hue h in [0, 1), from the distance of each channel [3,B,H,W] to the greatest.

    Arbitrary for grey.

    PIL rounds to float32 at other places, so for 0.04 % of all colours the hue byte differs by one.
    """
    # 1 for the greatest channel, the first one in ties; values are whole numbers.
    is_red, is_green = (1 - below[:2]).clamp_(min=0)
    is_blue = 1 - is_red
    is_blue.sub_(is_green.mul_(is_blue))
    red, green, blue = below.div_(spread.clamp(min=1))
    sixths = (blue - green).mul_(is_red).addcmul_(is_green, red - blue).addcmul_(is_blue, green - red)
    turns = sixths.add_(is_green, alpha=2).add_(is_blue, alpha=4).div_(6)
    return turns.sub_(turns.floor()).mul_(255).floor_()


def _from_hsv(sixths: Tensor, faded: Tensor, value: Tensor) -> Tensor:
    """value (1 - saturation w): w is 0 if the hue is within a sixth of the channel's hue, and 1 beyond a third."""
    weights = (sixths[:, None] - constant((3.0, 2.0, 4.0), value.device)).abs_().sub_(1).clamp_(0, 1)
    red = weights[:, 0]
    torch.sub(1, red, out=red)  # red lies at both ends of the circle, so its distance must wrap around
    return weights.mul_(faded[:, None]).neg_().add_(value.add_(0.5)[:, None]).floor_()


def invert(pixels: Tensor) -> Tensor:
    return 255 - pixels


def posterise(pixels: Tensor, bits: Tensor) -> Tensor:
    """Keep the upper `bits` of each byte."""
    step = _column(2 ** (8 - bits))
    return (pixels / step).floor_().mul_(step)


def solarise(pixels: Tensor, threshold: Tensor) -> Tensor:
    """Invert values at or above the threshold."""
    above = pixels.ge(_column(threshold)).to(pixels.dtype)
    return torch.addcmul(pixels, above, 255 - 2 * pixels)


def autocontrast(pixels: Tensor) -> Tensor:
    """Stretch each channel of each image to 0..255; a constant channel is not changed."""
    low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
    flat = high.eq(low).to(pixels.dtype)
    low, high = low * (1 - flat), torch.lerp(high, torch.full_like(high, 255), flat)
    return (pixels - low).mul_(255).div_(high - low).floor_()


def equalise(pixels: Tensor) -> Tensor:
    """Flatten the histogram of each channel of each image by PIL's integer arithmetic."""
    index = pixels.flatten(2).long()
    counts = index.new_zeros(*index.shape[:2], 256).scatter_add_(2, index, torch.ones_like(index))
    below = counts.cumsum(2) - counts
    # PIL divides the pixels below the brightest occurring value into 255 steps; if a step is empty, it does nothing.
    step = below.gather(2, index.amax(2, keepdim=True)) // 255
    idle = (step == 0).long()
    table = ((below + step // 2) // (step + idle)).clamp_(max=255)
    table = table * (1 - idle) + torch.arange(256, device=pixels.device) * idle
    return table.gather(2, index).view_as(pixels).to(pixels.dtype)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]
