"""The small network: 0.07 million parameters, meant for one CPU thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.models.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

    from semiseg.models.network_config import NetworkConfig


class Small(Architecture):
    has_encoder = False

    @classmethod
    def check(cls, config: NetworkConfig) -> None:
        if config.encoder or config.encoder_weights != "none":
            raise ValueError("the small network has its own encoder: leave encoder empty and encoder_weights at none")
        if config.auxiliary_head:
            raise ValueError("the small network has no stage for an auxiliary head: set auxiliary_head to false")

    @classmethod
    def for_cpu(cls, encoder: str) -> bool:
        return True

    @classmethod
    def parts(cls, config: NetworkConfig, classes: int) -> tuple[nn.Module, nn.Module]:
        from semiseg.models.parts.small_network import SmallEncoder, SmallHead

        encoder = SmallEncoder(config.width)
        return encoder, SmallHead(encoder.channels, classes)

    @classmethod
    def encoder(cls, config: NetworkConfig) -> nn.Module:
        from semiseg.models.parts.small_network import SmallEncoder

        encoder = SmallEncoder(config.width)
        encoder.mask_channels = encoder.channels[1:]  # masks at stride 4, as with the large encoders
        return encoder
