"""A network is an encoder and a head; `build` makes it from its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn

from semiseg.models import weights
from semiseg.models.deeplab import AuxiliaryHead, DeepLabV2Head, DeepLabV3PlusHead
from semiseg.models.dpt import DPTHead, ViTEncoder, make_vit
from semiseg.models.encoders import Encoder, freeze_affine, make_body
from semiseg.models.mask_head import MaskHead
from semiseg.models.network_config import NetworkConfig
from semiseg.models.outputs import Output, Regions
from semiseg.models.small import SmallEncoder, SmallHead
from semiseg.models.smp import make_parts

__all__ = ["Network", "Output", "Regions", "build"]


class Network(nn.Module):
    """`forward(x)` is `decode(encode(x), size)`; a method may perturb the features in between."""

    def __init__(self, encoder: nn.Module, head: nn.Module, auxiliary: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.auxiliary = auxiliary
        self.owned = nn.ModuleDict()  # what a method trains with the network; predictions do not need it

    def encode(self, x: Tensor) -> list[Tensor]:
        """Feature maps, coarse last."""
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
        """What trains at the base learning rate."""
        return (p for p in self.encoder.parameters() if p.requires_grad)

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """What trains at the head's learning rate: everything that does not come pre-trained."""
        return (p for name, p in self.named_parameters() if not name.startswith("encoder.") and p.requires_grad)


def build(config: NetworkConfig, classes: int, head: Literal["pixel", "mask"] = "pixel") -> Network:
    """The network for `classes` classes, with its start weights."""
    network = _mask_network(config, classes) if head == "mask" else _pixel_network(config, classes)
    if config.architecture != "small":
        weights.load(network.encoder.body, config.encoder, config.encoder_weights, config.encoder_weights_sha256)
    if config.frozen_affine:
        freeze_affine(network.encoder)
    return network


def _pixel_network(config: NetworkConfig, classes: int) -> Network:
    stride, levels = config.output_stride, (4, 5) if config.auxiliary_head else (5,)
    match config.architecture:
        case "small":
            encoder = SmallEncoder(config.width)
            return Network(encoder, SmallHead(encoder.channels, classes))
        case "deeplab_v2":
            encoder = Encoder(make_body(config.encoder, stride), levels)
            head = DeepLabV2Head(encoder.channels[-1], classes, config.dilations)
        case "deeplab_v3plus":
            encoder = Encoder(make_body(config.encoder, stride), (2, *levels))
            fine, coarse = encoder.channels[0], encoder.channels[-1]
            head = DeepLabV3PlusHead(fine, coarse, classes, config.dilations, stride, config.aspp_separable)
        case "dpt":
            encoder = ViTEncoder(make_vit(config.encoder))
            head = DPTHead(encoder.channels[-1], encoder.patch, classes)
        case architecture:
            encoder, head = make_parts(architecture, config.encoder, stride, classes)
    return Network(encoder, head, AuxiliaryHead(encoder.channels[-2], classes) if config.auxiliary_head else None)


def _mask_network(config: NetworkConfig, classes: int) -> Network:
    if config.architecture == "small":
        encoder = SmallEncoder(config.width)
        channels = encoder.channels[1:]  # masks at stride 4, as for the large encoders
    elif config.architecture == "dpt":
        encoder = ViTEncoder(make_vit(config.encoder))
        channels = encoder.channels
    else:
        dilated = config.architecture in ("deeplab_v2", "deeplab_v3plus", "deeplabv3")
        encoder = Encoder(make_body(config.encoder, config.output_stride if dilated else 32), (2, 3, 4, 5))
        channels = encoder.channels
    return Network(encoder, MaskHead(channels, classes, config.queries, config.decoder_layers, config.mask_width))
