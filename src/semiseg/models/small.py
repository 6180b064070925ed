"""A network for procedural images of 64x64 to 96x96 that trains on one CPU thread."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from semiseg.models.outputs import Output


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SmallEncoder(nn.Module):
    """Three stages at strides 2, 4 and 8 with 1, 2 and 4 times `width` channels."""

    def __init__(self, width: int):
        super().__init__()
        self.channels = [width, 2 * width, 4 * width]
        self.stages = nn.ModuleList(
            [
                conv_norm(3, width, stride=2),
                nn.Sequential(conv_norm(width, 2 * width, stride=2), conv_norm(2 * width, 2 * width)),
                nn.Sequential(conv_norm(2 * width, 4 * width, stride=2), conv_norm(4 * width, 4 * width)),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class SmallHead(nn.Module):
    """Top-down path with skip connections to stride 2, then a linear classifier."""

    def __init__(self, channels: list[int], classes: int):
        super().__init__()
        coarse_first = channels[::-1]
        self.laterals = nn.ModuleList(
            conv_norm(a, b, kernel=1) for a, b in zip(coarse_first[:-1], coarse_first[1:], strict=True)
        )
        self.fuse = nn.ModuleList(conv_norm(c, c) for c in coarse_first[1:])
        self.classifier = nn.Conv2d(channels[0], classes, 1)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        x = features[-1]
        for lateral, fuse, skip in zip(self.laterals, self.fuse, features[-2::-1], strict=True):
            x = fuse(skip + F.interpolate(lateral(x), size=skip.shape[-2:], mode="bilinear"))
        logits = F.interpolate(self.classifier(x).float(), size=tuple(size), mode="bilinear")
        return Output(logits, x)
