"""The base class of architectures: checks a configuration, and builds encoder and head."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from semiseg.base.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from semiseg.models.network_config import NetworkConfig


class Architecture:
    """One architecture; a subclass declares valid configurations and builds the network.

    Its file must not import torch.
    """

    example: ClassVar[str] = "tu-resnet101.tv_in1k"  # an example of an encoder, for messages
    plain_transformers: ClassVar[bool] = False  # needs encoders whose feature maps all have one stride
    has_encoder: ClassVar[bool] = True  # needs an encoder from the libraries
    dilations: ClassVar[tuple[int, ...] | None] = None  # smallest and largest number of `aspp_dilations`

    @classmethod
    def check(cls, config: NetworkConfig) -> None:
        """Raise ValueError for options that are invalid for this architecture."""

    @classmethod
    def for_cpu(cls, encoder: str) -> bool:
        """Whether the network is meant for one CPU core."""
        return False

    @classmethod
    def parts(cls, config: NetworkConfig, classes: int) -> tuple[nn.Module, nn.Module]:
        """Encoder and head with random weights; the encoder has `channels`, and `body` for start weights."""
        raise NotImplementedError

    @classmethod
    def encoder(cls, config: NetworkConfig) -> nn.Module:
        """The encoder for a mask head: feature maps of stride 4, 8, 16 and 32 if it has them."""
        raise NotImplementedError


REGISTRY = Registry("architecture", "semiseg.models.architectures", Architecture, renamed=("deeplab", "smp"))
