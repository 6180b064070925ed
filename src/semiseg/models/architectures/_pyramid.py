"""Architectures on an encoder with feature maps of several strides."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from semiseg.models.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

    from semiseg.models.network_config import NetworkConfig


class Pyramid(Architecture):
    dilated: ClassVar[bool] = False  # the encoder keeps `output_stride`

    @classmethod
    def encoder(cls, config: NetworkConfig) -> nn.Module:
        from semiseg.models.parts.encoders import Encoder, make_body

        return Encoder(make_body(config.encoder, config.output_stride if cls.dilated else 32), (2, 3, 4, 5))
