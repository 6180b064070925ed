"""A plain vision transformer with a DPT head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.models.architecture import Architecture
from semiseg.models.network_config import TINY_VIT

if TYPE_CHECKING:
    from torch import nn

    from semiseg.models.network_config import NetworkConfig


class DPT(Architecture):
    example = "tu-vit_small_patch14_dinov2.lvd142m"
    plain_transformers = True

    @classmethod
    def check(cls, config: NetworkConfig) -> None:
        if config.auxiliary_head or config.frozen_affine:
            raise ValueError(
                "a vision transformer has no batch normalisation: set auxiliary_head and frozen_affine to false"
            )
        if config.encoder == TINY_VIT and config.encoder_weights in ("hub", "imagenet"):
            raise ValueError("there are no weights for tiny_vit: leave encoder_weights at none")
        if config.encoder_weights == "imagenet" and "dino" in config.encoder:
            raise ValueError("DINO's weights were not trained on ImageNet; write `encoder_weights: hub`")

    @classmethod
    def for_cpu(cls, encoder: str) -> bool:
        return encoder == TINY_VIT

    @classmethod
    def parts(cls, config: NetworkConfig, classes: int) -> tuple[nn.Module, nn.Module]:
        from semiseg.models.parts.vision_transformer import DPTHead

        encoder = cls.encoder(config)
        return encoder, DPTHead(encoder.channels[-1], encoder.patch, classes)

    @classmethod
    def encoder(cls, config: NetworkConfig) -> nn.Module:
        from semiseg.models.parts.vision_transformer import ViTEncoder, make_vit

        return ViTEncoder(make_vit(config.encoder))
