"""Start weights: incomplete weights are refused, and messages name the file."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from semiseg.base.errors import UserError
from semiseg.base.files import sha256_file
from semiseg.models import weights
from semiseg.models.network_config import NetworkConfig
from semiseg.models.networks import build


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return timm.create_model("resnet18", num_classes=5).state_dict()


def config(path: Path, **changes) -> NetworkConfig:
    settings = {"encoder": "tu-resnet18", "encoder_weights": str(path), "encoder_weights_sha256": sha256_file(path)}
    return NetworkConfig(architecture="deeplab_v3plus", **(settings | changes))


def saved(state: dict[str, torch.Tensor], folder: Path) -> Path:
    save_file(state, folder / "weights.safetensors")
    return folder / "weights.safetensors"


@pytest.mark.parametrize("head", ["pixel", "mask"])
@pytest.mark.parametrize("encoder", ["tu-resnet18", "resnet18"])
def test_file_gives_the_features_of_the_model_it_comes_from(encoder: str, head: str, state, tmp_path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        net = build(config(saved(state, tmp_path), encoder=encoder), 3, head).eval()
    assert "2 keys are not used by the encoder: fc.bias, fc.weight" in caplog.text
    reference = timm.create_model("resnet18", features_only=True, output_stride=16).eval()
    reference.load_state_dict(state, strict=False)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(net.encode(x)[-1], reference(x)[-1])


def test_without_weights_they_are_random_and_follow_the_seed() -> None:
    none = NetworkConfig(architecture="deeplab_v3plus", encoder="resnet18")

    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(build(none, 3).encoder_parameters()).detach()

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


def test_wrong_hash_names_both(state, tmp_path) -> None:
    path = saved(state, tmp_path)
    with pytest.raises(UserError, match=f"has SHA-256 {sha256_file(path)}, but .* is {'0' * 64}"):
        build(config(path, encoder_weights_sha256="0" * 64), 3)


def test_missing_file_is_named(tmp_path) -> None:
    absent = NetworkConfig(
        architecture="unet",
        encoder="resnet18",
        encoder_weights=str(tmp_path / "no.safetensors"),
        encoder_weights_sha256="0" * 64,
    )
    with pytest.raises(UserError, match=r"there is no file .*no\.safetensors"):
        build(absent, 3)


def test_file_of_another_format(tmp_path) -> None:
    (tmp_path / "fake.safetensors").write_bytes(b"not a tensor in sight")
    with pytest.raises(UserError, match="is not a safetensors file"):
        build(config(tmp_path / "fake.safetensors"), 3)


def test_missing_keys_are_counted_and_named(state, tmp_path) -> None:
    del state["layer3.0.conv1.weight"], state["bn1.running_mean"]
    with pytest.raises(UserError, match=r"2 of the encoder's \d+ keys are missing: bn1.running_mean, layer3.0.conv1.w"):
        build(config(saved(state, tmp_path)), 3)


def test_prefixed_keys_are_missing_keys(state, tmp_path) -> None:
    with pytest.raises(UserError, match="keys are missing: conv1.weight"):
        build(config(saved({f"module.{key}": value for key, value in state.items()}, tmp_path)), 3)


def test_batch_counters_may_be_missing(state, tmp_path) -> None:
    net = build(config(saved({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path)), 3)
    assert torch.equal(net.encoder.body.model.conv1.weight, state["conv1.weight"])


def test_other_shapes_are_named(state, tmp_path) -> None:
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    with pytest.raises(UserError, match=r"conv1.weight \[64, 1, 7, 7\] instead of \[64, 3, 7, 7\]"):
        build(config(saved(state, tmp_path)), 3)


def test_flattened_names_of_timm_are_found(tmp_path) -> None:
    """timm's feature extractors write `stages.0` as `stages_0`."""
    state = timm.create_model("convnext_atto", num_classes=0).state_dict()
    net = build(config(saved(state, tmp_path), encoder="tu-convnext_atto"), 3)
    found = dict(net.encoder.body.model.named_parameters())["stages_0.blocks.0.conv_dw.weight"]
    assert torch.equal(found, state["stages.0.blocks.0.conv_dw.weight"])


@pytest.mark.parametrize(
    ("encoder", "command"), [("tu-resnet18.tv_in1k", "timm.create_model"), ("resnet18", "get_encoder")]
)
def test_without_cache_and_network_the_message_says_how_to_get_them(encoder, command, monkeypatch) -> None:
    asked = []

    def unreachable(name: str) -> dict:
        from huggingface_hub import constants

        asked.append(constants.HF_HUB_OFFLINE)
        raise OSError("no route to the hub\nand more lines")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(weights, "_pretrained", unreachable)
    imagenet = NetworkConfig(architecture="deeplab_v3plus", encoder=encoder, encoder_weights="imagenet")
    with pytest.raises(UserError) as caught:
        build(imagenet, 3)
    assert asked == [True, False], "the cache comes first, then the network"
    message = str(caught.value)
    assert command in message and "encoder_weights: none" in message and "\n" not in message


@pytest.mark.parametrize("encoder", ["tu-resnet18.tv_in1k", "resnet18"])
def test_imagenet_weights_come_from_the_library(encoder: str, state, monkeypatch) -> None:
    monkeypatch.setattr(weights, "_pretrained", lambda name: state if name == encoder else {})
    net = build(NetworkConfig(architecture="deeplab_v2", encoder=encoder, encoder_weights="imagenet"), 3)
    assert torch.equal(next(net.encoder_parameters()), state["conv1.weight"])


def test_hub_weights_are_known_by_the_hash_of_their_tensors(state, monkeypatch, tmp_path) -> None:
    """A fake hub: the hash is found, and with a configured hash all other weights are refused."""
    monkeypatch.setattr(weights, "_pretrained", lambda name: state)

    def network(sha256: str | None):
        named = {"encoder": "tu-resnet18.tv_in1k", "encoder_weights": "hub", "encoder_weights_sha256": sha256}
        return build(NetworkConfig(architecture="deeplab_v3plus", **named), 3)

    found = network(None).start_weights
    assert found == weights.state_sha256(dict(reversed(state.items()))), "their order says nothing"
    assert network(found).start_weights == found
    state["conv1.weight"] += 1e-3
    with pytest.raises(UserError, match=f"have SHA-256 {weights.state_sha256(state)} .*, but .* is {found}"):
        network(found)
    path = saved(state, tmp_path)
    assert build(config(path), 3).start_weights == sha256_file(path)
    assert build(NetworkConfig(architecture="deeplab_v3plus", encoder="resnet18"), 3).start_weights is None


@pytest.mark.parametrize("source", ["hub", "imagenet"])
def test_a_bare_name_of_timms_says_nothing_of_its_weights(source: str) -> None:
    with pytest.raises(ValueError, match=r"whatever timm's default is.*tu-resnet101\.tv_in1k"):
        NetworkConfig(architecture="deeplab_v3plus", encoder="tu-resnet101", encoder_weights=source)
