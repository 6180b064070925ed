"""The architectures of segmentation_models_pytorch.

Two are left out, because this package implements them: DeepLabV3+ for any input size, DPT without batch normalisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.models.architectures._pyramid import Pyramid

if TYPE_CHECKING:
    from torch import nn

    from semiseg.models.network_config import NetworkConfig


class Smp(Pyramid):
    names = ("fpn", "linknet", "manet", "pan", "pspnet", "segformer", "unet", "unetplusplus", "upernet")

    @classmethod
    def parts(cls, config: NetworkConfig, classes: int) -> tuple[nn.Module, nn.Module]:
        from semiseg.models.parts.smp_parts import make_parts

        return make_parts(config.architecture, config.encoder, config.output_stride, classes)


class SmpDeepLabV3(Smp):
    names = ("deeplabv3",)
    dilated = True
