"""The configuration of a network; it does not import torch, so a suite is validated in milliseconds."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from semiseg.base.explain import nearest
from semiseg.models.architecture import REGISTRY

AFFECTS_RESULTS = False  # names and checks only; the file of an architecture defines the network

TINY_VIT = "tiny_vit"
# In timm the name of a plain vision transformer has the patch size. Swin, with patches of 4 pixels, is a pyramid.
PLAIN_VIT = re.compile(rf"{TINY_VIT}|tu-\w*_patch(8|14|16|32)(_[\w.]*|\.\w+)?")


class NetworkConfig(BaseModel):
    """One network: an encoder, and a head that turns features into logits."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, use_attribute_docstrings=True
    )

    architecture: str = "small"
    """`small` (0.07 M parameters, for one CPU thread), `deeplab_v2`, `deeplab_v3plus`, `dpt` (for plain vision
    transformers), or one of segmentation_models_pytorch's. With a mask head it names the encoder that the head sits
    on."""

    encoder: str = ""
    """A name of segmentation_models_pytorch, or `tu-` and a timm name (`tu-resnet101.tv_in1k`); empty for `small`. For
    `dpt` a vision transformer of timm (`tu-vit_small_patch14_dinov2.lvd142m`), or `tiny_vit` (13 thousand parameters,
    for one CPU thread)."""

    encoder_weights: str = "none"
    """`none` (random), `hub` (those that the encoder's name stands for, through the hub's cache), `imagenet` (the same,
    where they were trained on ImageNet), or the path of a `.safetensors` file."""

    encoder_weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of that file: a run is known by its start weights, not by the name of a file. For weights from the hub it
    is the hash of their tensors, which `semiseg data weights` records; give it here to require certain weights."""

    output_stride: Literal[8, 16] = 16
    """Input size over size of the coarsest features of the DeepLab family; other architectures keep their own."""

    auxiliary_head: bool = False
    """A second, fully convolutional head on the encoder's third stage, for training only. Mask heads have none: their
    earlier layers are supervised instead."""

    width: Annotated[int, Field(ge=4, le=256)] = 16
    """Channels of the first stage of `small`."""

    aspp_dilations: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, strict=False)
    """Dilations of the atrous pyramid. Default: 6, 12, 18, 24 for DeepLab-v2; 6, 12, 18 at output stride 16 and
    12, 24, 36 at 8 for DeepLabV3+. AdvSemiSeg's code in effect uses 6 and 12 alone."""

    aspp_separable: bool = False
    """Depthwise separable atrous convolutions in DeepLabV3+; the field's code uses plain ones."""

    frozen_affine: bool = False
    """Keep weight and bias of the encoder's batch normalisation; its running statistics still move."""

    queries: Annotated[int, Field(ge=1, le=1000)] = 16
    """Regions that a mask head proposes for each image."""

    decoder_layers: Annotated[int, Field(ge=2, le=12)] = 2
    """Transformer decoder layers of a mask head."""

    mask_width: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = 64
    """Channels of a mask head's queries, mask embeddings and pixel features, 32 for each attention head."""

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in REGISTRY.names():
            raise ValueError(f"unknown architecture{nearest(name, REGISTRY.names())}")
        return name

    @model_validator(mode="after")
    def _encoder_belongs(self) -> NetworkConfig:
        architecture, plain = REGISTRY.load(self.architecture), bool(PLAIN_VIT.fullmatch(self.encoder))
        if architecture.has_encoder and not self.encoder:
            raise ValueError(f"{self.architecture} needs an encoder, such as {architecture.example}")
        if architecture.plain_transformers and not plain:
            raise ValueError(
                f"{self.architecture} needs a plain vision transformer, such as {architecture.example}, and "
                f"{self.encoder} is none; choose another encoder, or another architecture (deeplab_v3plus)"
            )
        if plain and architecture.has_encoder and not architecture.plain_transformers:
            raise ValueError(
                f"{self.architecture} needs an encoder with feature maps of several strides, but {self.encoder} has "
                "them all of one; choose `architecture: dpt`, or another encoder"
            )
        architecture.check(self)
        return self

    @model_validator(mode="after")
    def _weights_are_known(self) -> NetworkConfig:
        weights, digest = self.encoder_weights, self.encoder_weights_sha256
        if weights in ("none", "hub", "imagenet"):
            if digest and weights == "none":
                raise ValueError("encoder_weights_sha256 belongs to start weights; encoder_weights names none")
            if weights != "none" and self.encoder.startswith("tu-") and "." not in self.encoder:
                raise ValueError(
                    f"{self.encoder} with weights from the hub means whatever timm's default is; name the weights' tag "
                    "too, as in tu-resnet101.tv_in1k"
                )
        elif not weights.endswith(".safetensors"):
            raise ValueError(
                f"encoder_weights is {weights!r}; expected none, hub, imagenet or a path ending in .safetensors"
            )
        elif not digest:
            raise ValueError(f"encoder_weights_sha256 is missing: give what `sha256sum {weights}` prints")
        return self

    @model_validator(mode="after")
    def _dilations_fit(self) -> NetworkConfig:
        if self.aspp_dilations is None:
            return self
        counts = REGISTRY.load(self.architecture).dilations
        if counts is None:
            raise ValueError(f"aspp_dilations has no meaning for {self.architecture}")
        if not counts[0] <= len(self.aspp_dilations) <= counts[1]:
            raise ValueError("aspp_dilations: DeepLabV3+ takes three, DeepLab-v2 at least one")
        return self
