"""DeepLab-v2 and DeepLabV3+ for any input size.

Logits are up-sampled bilinearly with corners aligned, as in the code of AdvSemiSeg, CPS, U2PL, iMAS and UniMatch: their
crops (321, 513, 769, 801) are multiples of the output stride plus one, where aligned corners keep pixels in place.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, cat, nn
from torch.nn import functional as F

from semiseg.models.outputs import Output


def upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


class DeepLabV2Head(nn.Module):
    """The sum of dilated 3x3 classifiers on the last features (Chen et al. 2017, ASPP-L without its hidden layers).

    AdvSemiSeg's code returns from inside its loop: dilations (6, 12) equal its code, (6, 12, 18, 24) its paper.
    """

    def __init__(self, channels: int, classes: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(nn.Conv2d(channels, classes, 3, padding=d, dilation=d) for d in dilations)
        for classifier in self.classifiers:
            nn.init.normal_(classifier.weight, std=0.01)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        logits = sum(classifier(features[-1]).float() for classifier in self.classifiers)
        return Output(upsample(logits, size), features[-1])


class DeepLabV3PlusHead(nn.Module):
    """Decoder of DeepLabV3+ (Chen et al. 2018) from segmentation_models_pytorch, on features of strides 4 and 8 or 16.

    The library's forward pass needs sizes that are multiples of the output stride. Here the coarse features are resized
    to the size of the fine features, which is the same for such sizes.
    """

    def __init__(
        self, fine: int, coarse: int, classes: int, dilations: Sequence[int], output_stride: int, separable: bool
    ) -> None:
        super().__init__()
        from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
        from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

        width = 256
        self.decoder = DeepLabV3PlusDecoder(
            encoder_channels=[3, 0, fine, 0, 0, coarse],
            encoder_depth=5,
            out_channels=width,
            atrous_rates=dilations,
            output_stride=output_stride,
            aspp_separable=separable,
            aspp_dropout=0.5,
        )
        self.classifier = nn.Conv2d(width, classes, 1)
        initialize_decoder(self.decoder)
        initialize_head(self.classifier)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        fine, coarse = features[0], features[-1]
        context = upsample(self.decoder.aspp(coarse), fine.shape[-2:])
        fused = self.decoder.block2(cat([context, self.decoder.block1(fine)], dim=1))
        return Output(upsample(self.classifier(fused).float(), size), fused)


class AuxiliaryHead(nn.Module):
    """A fully convolutional head on the features of the encoder's third stage, as in CPS and iMAS."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 256, 3, padding=1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.1),
            nn.Conv2d(256, classes, 1),
        )

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        return upsample(self.layers(features[-2]).float(), size)
