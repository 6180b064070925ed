"""A network is an encoder and a head; `build` makes it from its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn

from semiseg.models import weights
from semiseg.models.architecture import REGISTRY
from semiseg.models.network_config import NetworkConfig
from semiseg.models.outputs import Output, Regions
from semiseg.models.parts.deeplab_heads import AuxiliaryHead
from semiseg.models.parts.encoders import freeze_affine
from semiseg.models.parts.mask_head import MaskHead

__all__ = ["Network", "Output", "Regions", "build"]


class Network(nn.Module):
    """`forward(x)` is `decode(encode(x), size)`; a method may perturb the features in between."""

    def __init__(self, encoder: nn.Module, head: nn.Module, auxiliary: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.auxiliary = auxiliary
        self.start_weights: str | None = None  # SHA-256 of the encoder's start weights; None: random weights
        self.owned = nn.ModuleDict()  # modules that a method trains with the network; predictions do not need them

    def encode(self, x: Tensor) -> list[Tensor]:
        """Feature maps, the coarsest last."""
        return self.encoder(x)

    def decode(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        """Predictions at `size`, the (height, width) of the input."""
        output = self.head(features, size)
        if self.auxiliary is not None and self.training:
            output.auxiliary = self.auxiliary(features, size)
        return output

    def forward(self, x: Tensor) -> Output:
        return self.decode(self.encode(x), x.shape[-2:])

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters with the base learning rate."""
        return (p for p in self.encoder.parameters() if p.requires_grad)

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters with the head's learning rate: everything that is not pre-trained."""
        return (p for name, p in self.named_parameters() if not name.startswith("encoder.") and p.requires_grad)


def build(config: NetworkConfig, classes: int, head: Literal["pixel", "mask"] = "pixel") -> Network:
    """The network for `classes` classes, with its start weights."""
    architecture = REGISTRY.load(config.architecture)
    if head == "mask":
        encoder = architecture.encoder(config)
        channels = getattr(encoder, "mask_channels", encoder.channels)
        decoder = MaskHead(channels, classes, config.queries, config.decoder_layers, config.mask_width)
        network = Network(encoder, decoder)
    else:
        encoder, decoder = architecture.parts(config, classes)
        auxiliary = AuxiliaryHead(encoder.channels[-2], classes) if config.auxiliary_head else None
        network = Network(encoder, decoder, auxiliary)
    if architecture.has_encoder:
        body, wanted = network.encoder.body, config.encoder_weights_sha256
        network.start_weights = weights.load(body, config.encoder, config.encoder_weights, wanted)
    if config.frozen_affine:
        freeze_affine(network.encoder)
    return network
