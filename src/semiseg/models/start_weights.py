"""Finds an encoder with start weights: in the hub's cache, or in a file of the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.base.files import sha256_file
from semiseg.models.network_config import NetworkConfig

AFFECTS_RESULTS = False

LIGHT = ("fpn", "tu-mobilenetv2_100.ra_in1k")  # encoders that one CPU core trains in minutes
CHOICES = {
    "cpu": (LIGHT,),
    "gpu": (
        ("dpt", "tu-vit_small_patch14_dinov2.lvd142m"),
        ("deeplab_v3plus", "tu-resnet50.tv_in1k"),
        ("deeplab_v3plus", "tu-resnet101.tv_in1k"),
        LIGHT,
    ),
}
FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Start:
    architecture: str
    encoder: str
    weights: str  # `imagenet`, `hub` or a path
    sha256: str | None = None

    def network(self) -> dict[str, Any]:
        """The keys of a recipe's network."""
        named = {"architecture": self.architecture, "encoder": self.encoder, "encoder_weights": self.weights}
        return named | ({"encoder_weights_sha256": self.sha256} if self.sha256 else {})


def in_cache(device: str) -> Start | None:
    """The first encoder for the device whose weights are in timm's cache."""
    for architecture, encoder in CHOICES[device]:
        if _cached(encoder):
            found = Start(architecture, encoder, "hub" if "dino" in encoder else "imagenet")
            return replace(found, sha256=of_hub(NetworkConfig(**found.network())))
    return None


def of_hub(network: NetworkConfig) -> str:
    """SHA-256 of the encoder's tensors on the hub; weights that are missing in the hub's cache are fetched."""
    from semiseg.models.networks import build

    found = build(network, classes=2).start_weights
    assert found
    return found


def of_file(path: Path, device: str) -> Start:
    """The encoder of a file of weights, recognised by names and shapes of tensors."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"--weights: there is no file {path}")
    try:
        with safe_open(path, "pt") as stored:
            shapes = {_spelling(key): tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"--weights: {path} is not a safetensors file ({error})") from error
    others = [choice for choices in CHOICES.values() for choice in choices if choice not in CHOICES[device]]
    for architecture, encoder in (*CHOICES[device], *others):
        if _fits(architecture, encoder, shapes):
            return Start(architecture, encoder, str(path), sha256_file(path))
    known = ", ".join(dict.fromkeys(encoder for choices in CHOICES.values() for _, encoder in choices))
    raise UserError(
        f"--weights: the tensors of {path} belong to none of the encoders {known}; write the network that they "
        "belong to into the recipe yourself (docs/datasets.md)"
    )


def _fits(architecture: str, encoder: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    import torch

    from semiseg.models.networks import build
    from semiseg.models.weights import inner

    with torch.device("meta"):
        network = build(NetworkConfig(architecture=architecture, encoder=encoder), classes=2)
    wanted = inner(network.encoder.body).state_dict()
    return all(
        shapes.get(_spelling(key)) == tuple(value.shape)
        for key, value in wanted.items()
        if not key.endswith("num_batches_tracked") and "pos_embed" not in key
    )


def _cached(encoder: str) -> bool:
    import timm
    from huggingface_hub import try_to_load_from_cache

    config = timm.get_pretrained_cfg(encoder.removeprefix("tu-"))
    if config is None or not config.hf_hub_id:
        return False
    return any(isinstance(try_to_load_from_cache(config.hf_hub_id, name), str) for name in FILES)


def _spelling(key: str) -> str:
    """timm writes `stages_0` instead of `stages.0` in models that return features only."""
    return key.replace(".", "_")
