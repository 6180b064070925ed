"""A network for procedural images of 64x64 to 96x96 that trains on one CPU thread."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semiseg.models.outputs import Output


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def projection(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions and a linear map, for vectors that are compared with each other."""
    return nn.Sequential(conv_norm(inputs, outputs), conv_norm(outputs, outputs), nn.Conv2d(outputs, outputs, 1))


def _interpolation(source: int, target: int, align_corners: bool, like: Tensor) -> Tensor:
    """The matrix [target, source] of linear interpolation."""
    unit = torch.eye(source, device=like.device)[None]
    return F.interpolate(unit, size=target, mode="linear", align_corners=align_corners)[0].T


def resize(x: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Bilinear interpolation as two matrix products, in float32.

    For few channels on a CPU it takes a fifth of `interpolate`'s time, and its gradient is deterministic everywhere.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float().contiguous()
        rows, columns = (_interpolation(x.shape[i], size[i], align_corners, x) for i in (-2, -1))
        return rows @ (x @ columns.T)


class SmallEncoder(nn.Module):
    """Three stages at strides 2, 4 and 8 with 1, 2 and 4 times `width` channels.

    Most of the arithmetic is at stride 8, where one thread is most efficient; the finest stage only sharpens borders.
    """

    def __init__(self, width: int):
        super().__init__()
        self.channels = [width, 2 * width, 4 * width]
        self.stem = conv_norm(3, width, stride=2)
        self.middle = conv_norm(width, 2 * width, stride=2)
        self.coarse = nn.Sequential(conv_norm(2 * width, 4 * width, stride=2), conv_norm(4 * width, 4 * width))

    def forward(self, x: Tensor) -> list[Tensor]:
        stem = self.stem(x)
        middle = self.middle(stem)
        return [stem, middle, self.coarse(middle)]


class SmallHead(nn.Module):
    """Coarse and middle features give logits at stride 4; a linear skip at stride 2 refines them."""

    def __init__(self, channels: list[int], classes: int):
        super().__init__()
        fine, middle, coarse = channels
        self.lateral = conv_norm(coarse, middle, kernel=1)
        self.fuse = conv_norm(middle, middle)
        self.classifier = nn.Conv2d(middle, classes, 1)
        self.skip = nn.Conv2d(fine, classes, 1, bias=False)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        fine, middle, coarse = features
        fused = self.fuse(middle + F.interpolate(self.lateral(coarse), size=middle.shape[-2:], mode="bilinear"))
        logits = resize(self.classifier(fused), fine.shape[-2:]) + self.skip(fine).float()
        return Output(resize(logits, size), fused)
