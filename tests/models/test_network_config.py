"""Network configurations: valid values, and messages for invalid values."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from semiseg.models.architecture import REGISTRY
from semiseg.models.architectures.smp import Smp, SmpDeepLabV3
from semiseg.models.network_config import NetworkConfig

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "deeplab_v3"}, "did you mean 'deeplab"),
        ({"architecture": "unet"}, "needs an encoder"),
        ({"encoder": "resnet18"}, "own encoder"),
        ({"encoder_weights": "imagenet"}, "own encoder"),
        ({"auxiliary_head": True}, "auxiliary_head"),
        ({"architecture": "unet", "encoder": "resnet18", "encoder_weights": "a.pth"}, "ending in .safetensors"),
        (
            {"architecture": "unet", "encoder": "resnet18", "encoder_weights": "a.safetensors"},
            "sha256sum a.safetensors",
        ),
        ({"architecture": "unet", "encoder": "resnet18", "encoder_weights_sha256": DIGEST}, "belongs to start weights"),
        ({"encoder_weights_sha256": "abc"}, "pattern"),
        ({"architecture": "unet", "encoder": "resnet18", "aspp_dilations": (6, 12)}, "no meaning for unet"),
        ({"architecture": "deeplab_v3plus", "encoder": "resnet18", "aspp_dilations": (6, 12)}, "takes three"),
        ({"architecture": "deeplab_v2", "encoder": "resnet18", "aspp_dilations": ()}, "at least one"),
        ({"architecture": "dpt"}, "needs an encoder, such as tu-vit_small"),
        ({"architecture": "dpt", "encoder": "resnet50"}, "dpt needs a plain vision transformer.* and resnet50 is none"),
        ({"architecture": "dpt", "encoder": "tu-swin_tiny_patch4_window7_224"}, "swin_tiny_patch4_window7_224 is none"),
        (
            {"architecture": "deeplab_v3plus", "encoder": "tu-vit_small_patch14_dinov2.lvd142m"},
            "deeplab_v3plus needs .* several strides.* choose `architecture: dpt`",
        ),
        ({"architecture": "unet", "encoder": "tiny_vit"}, "choose `architecture: dpt`"),
        ({"architecture": "dpt", "encoder": "tiny_vit", "auxiliary_head": True}, "no batch normalisation"),
        ({"architecture": "dpt", "encoder": "tiny_vit", "frozen_affine": True}, "no batch normalisation"),
        ({"architecture": "dpt", "encoder": "tiny_vit", "encoder_weights": "hub"}, "there are no weights for tiny_vit"),
        (
            {"architecture": "dpt", "encoder": "tu-vit_small_patch14_dinov2", "encoder_weights": "imagenet"},
            "write `encoder_weights: hub`",
        ),
        ({"output_stride": 32}, "8 or 16"),
        ({"queries": 0}, "greater than or equal to 1"),
        ({"decoder_layers": 1}, "greater than or equal to 2"),
        ({"mask_width": 40}, "multiple of 32"),
        ({"width": "16"}, "valid integer"),
        ({"widht": 16}, "not permitted"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NetworkConfig(**settings)


@pytest.mark.parametrize(
    "encoder",
    ["tiny_vit", "tu-vit_small_patch14_dinov2", "tu-vit_base_patch16_dinov3.lvd1689m", "tu-deit3_small_patch16_224"],
)
def test_plain_transformers_are_known_by_their_names(encoder: str) -> None:
    assert NetworkConfig(architecture="dpt", encoder=encoder).encoder == encoder
    with pytest.raises(ValidationError):
        NetworkConfig(architecture="fpn", encoder=encoder)


def test_default_dilations_follow_network_and_stride() -> None:
    v2, v3 = REGISTRY.load("deeplab_v2"), REGISTRY.load("deeplab_v3plus")

    def config(architecture: str, **changes) -> NetworkConfig:
        return NetworkConfig(architecture=architecture, encoder="resnet18", **changes)

    assert v2.dilations_of(config("deeplab_v2", output_stride=8)) == (6, 12, 18, 24)
    assert v3.dilations_of(config("deeplab_v3plus", output_stride=16)) == (6, 12, 18)
    assert v3.dilations_of(config("deeplab_v3plus", output_stride=8)) == (12, 24, 36)
    assert v3.dilations_of(config("deeplab_v3plus", aspp_dilations=[1, 2, 3])) == (1, 2, 3)


def test_round_trip_through_json() -> None:
    config = NetworkConfig(architecture="deeplab_v2", encoder="tu-resnet18", aspp_dilations=(6, 12), output_stride=8)
    assert NetworkConfig.model_validate(config.model_dump(mode="json")) == config


def test_the_library_has_every_architecture_offered() -> None:
    import segmentation_models_pytorch as smp

    assert {*Smp.names, *SmpDeepLabV3.names} <= set(smp.MODEL_ARCHITECTURES_MAPPING)


def test_options_need_no_torch() -> None:
    code = "import sys, semiseg.models.network_config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
