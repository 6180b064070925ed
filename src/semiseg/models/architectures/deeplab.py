"""DeepLab-v2 and DeepLabV3+ on a dilated encoder, implemented here for any input size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.models.architectures._pyramid import Pyramid

if TYPE_CHECKING:
    from torch import nn

    from semiseg.models.network_config import NetworkConfig

MANY = 99


class DeepLabV2(Pyramid):
    names = ("deeplab_v2",)
    dilated = True
    dilations = (1, MANY)

    @classmethod
    def parts(cls, config: NetworkConfig, classes: int) -> tuple[nn.Module, nn.Module]:
        from semiseg.models.parts.deeplab_heads import DeepLabV2Head
        from semiseg.models.parts.encoders import Encoder, make_body

        encoder = Encoder(make_body(config.encoder, config.output_stride), _levels(config))
        return encoder, DeepLabV2Head(encoder.channels[-1], classes, cls.dilations_of(config))

    @classmethod
    def dilations_of(cls, config: NetworkConfig) -> tuple[int, ...]:
        return config.aspp_dilations or (6, 12, 18, 24)


class DeepLabV3Plus(Pyramid):
    names = ("deeplab_v3plus",)
    dilated = True
    dilations = (3, 3)

    @classmethod
    def parts(cls, config: NetworkConfig, classes: int) -> tuple[nn.Module, nn.Module]:
        from semiseg.models.parts.deeplab_heads import DeepLabV3PlusHead
        from semiseg.models.parts.encoders import Encoder, make_body

        stride = config.output_stride
        encoder = Encoder(make_body(config.encoder, stride), (2, *_levels(config)))
        fine, coarse = encoder.channels[0], encoder.channels[-1]
        dilations = cls.dilations_of(config)
        return encoder, DeepLabV3PlusHead(fine, coarse, classes, dilations, stride, config.aspp_separable)

    @classmethod
    def dilations_of(cls, config: NetworkConfig) -> tuple[int, ...]:
        return config.aspp_dilations or ((6, 12, 18) if config.output_stride == 16 else (12, 24, 36))


def _levels(config: NetworkConfig) -> tuple[int, ...]:
    return (4, 5) if config.auxiliary_head else (5,)
