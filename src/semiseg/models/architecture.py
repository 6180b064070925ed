"""An architecture: which configurations fit it, and how its encoder and head are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from semiseg.base.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from semiseg.models.network_config import NetworkConfig


class Architecture:
    """One architecture; a subclass states what it takes and builds it. Its file is read without torch."""

    example: ClassVar[str] = "tu-resnet101.tv_in1k"  # an encoder that fits, for messages
    plain_transformers: ClassVar[bool] = False  # takes encoders whose feature maps all have one stride, and no others
    has_encoder: ClassVar[bool] = True  # takes an encoder of the libraries
    dilations: ClassVar[tuple[int, ...] | None] = None  # how many `aspp_dilations` it takes, at least and at most

    @classmethod
    def check(cls, config: NetworkConfig) -> None:
        """Raise ValueError for what makes no sense with this architecture alone."""

    @classmethod
    def for_cpu(cls, encoder: str) -> bool:
        """Whether it was made for one CPU core."""
        return False

    @classmethod
    def parts(cls, config: NetworkConfig, classes: int) -> tuple[nn.Module, nn.Module]:
        """Encoder and head with random weights; the encoder has `channels` and, for start weights, `body`."""
        raise NotImplementedError

    @classmethod
    def encoder(cls, config: NetworkConfig) -> nn.Module:
        """The encoder under a mask head: feature maps of stride 4, 8, 16 and 32 where it has them."""
        raise NotImplementedError


REGISTRY = Registry("architecture", "semiseg.models.architectures", Architecture, renamed=("deeplab", "smp"))
