"""Plain vision transformers with a DPT head."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from semiseg.base.errors import UserError
from semiseg.base.files import sha256_file
from semiseg.models import weights
from semiseg.models.network_config import NetworkConfig
from semiseg.models.networks import build
from semiseg.models.parts.vision_transformer import DPTHead, ViTEncoder, make_vit

CLASSES = 3
TINY = NetworkConfig(architecture="dpt", encoder="tiny_vit")
DINO = {
    "tu-vit_small_patch14_dinov2.lvd142m": 14,
    "tu-vit_base_patch14_dinov2.lvd142m": 14,
    "tu-vit_small_patch16_dinov3.lvd1689m": 16,
    "tu-vit_base_patch16_dinov3.lvd1689m": 16,
}


def millions(module: nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


@pytest.fixture
def tiny() -> nn.Module:
    torch.manual_seed(0)
    return build(TINY, CLASSES).eval()


@pytest.mark.parametrize("encoder", DINO)
def test_dino_gives_four_maps_of_the_patches_stride(encoder: str) -> None:
    """Shapes alone: nothing is computed."""
    patch = DINO[encoder]
    with torch.device("meta"):
        net = build(NetworkConfig(architecture="dpt", encoder=encoder), 21).eval()
        maps = net.encode(torch.empty(1, 3, 6 * patch, 4 * patch - 3))
        assert net(torch.empty(1, 3, 75, 100)).logits.shape == (1, 21, 75, 100)
    assert [tuple(one.shape) for one in maps] == [(1, net.encoder.channels[0], 6, 4)] * 4


def test_sizes_are_those_in_the_logs_of_unimatch_v2() -> None:
    """The log has 86.6 M for the encoder and 10.9 M for the head; 0.3 M of the head are never used."""
    with torch.device("meta"):
        net = build(NetworkConfig(architecture="dpt", encoder="tu-vit_base_patch14_dinov2"), 21)
    unused = 2 * (128 * 128 * 9 + 128)
    assert round(millions(net.encoder), 1) == 86.6
    assert round(millions(net.head) + unused / 1e6, 1) == 10.9


def test_the_tiny_transformer_is_tiny() -> None:
    assert millions(make_vit("tiny_vit")) < 0.015
    assert millions(build(TINY, 5)) < 0.03


def test_nothing_in_it_depends_on_the_rest_of_the_batch(tiny: nn.Module) -> None:
    assert not [m for m in tiny.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        whole = tiny.train()(images).logits
        assert torch.allclose(whole[1:2], tiny(images[1:2]).logits, atol=1e-5)


def test_the_layers_are_at_equal_distances_and_normalised(tiny: nn.Module) -> None:
    with torch.device("meta"):
        assert ViTEncoder(make_vit("tu-vit_small_patch14_dinov2")).layers == [2, 5, 8, 11]
    images, body = torch.randn(1, 3, 64, 64), tiny.encoder.body
    with torch.no_grad():
        tokens = body.norm_pre(body._pos_embed(body.patch_embed(images)))
        maps = tiny.encode(images)
        for block, found in zip(body.blocks, maps, strict=True):
            tokens = block(tokens)
            expected = body.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, (8, 8))
            torch.testing.assert_close(found, expected)


def test_padding_is_the_mean_colour_and_is_cut_off(tiny: nn.Module) -> None:
    images = torch.randn(1, 3, 50, 61)
    padded = nn.functional.pad(images, (0, 3, 0, 6))
    with torch.no_grad():
        assert torch.equal(tiny(images).logits, tiny(padded).logits[..., :50, :61])
        assert tiny(images[..., :5, :3]).logits.shape == (1, CLASSES, 5, 3), "an image smaller than a patch"


def test_position_embeddings_follow_the_crop(tiny: nn.Module) -> None:
    """A smooth embedding looks the same on a finer grid, and every parameter of it learns on any grid."""
    body = tiny.encoder.body
    ramp = torch.linspace(0, 1, 8)
    with torch.no_grad():
        body.pos_embed[:, 1:] = (ramp[:, None] + ramp).reshape(1, 64, 1)
    body.patch_embed.proj.requires_grad_(False).weight.zero_()
    body.patch_embed.proj.bias.zero_()
    tokens = body._pos_embed(body.patch_embed(torch.zeros(1, 3, 128, 128)))[0, 1:, 0].unflatten(0, (16, 16))
    assert tokens[4:12, 4:12].diff(dim=0).min() > 0
    assert tokens[8, 8].item() == pytest.approx(1 + 1 / 15, abs=0.05)
    tokens.sum().backward()
    assert (body.pos_embed.grad[:, 1:, 0] != 0).all()


def test_the_head_uses_all_four_maps() -> None:
    torch.manual_seed(0)
    head = DPTHead(16, 8, CLASSES)
    maps = [torch.randn(1, 16, 4, 4, requires_grad=True) for _ in range(4)]
    output = head(maps, (30, 32))
    assert output.logits.shape == (1, CLASSES, 30, 32)
    assert output.features.shape[-2:] == (32, 32), "twice the finest map, which has four times the patches"
    output.logits.square().sum().backward()
    assert all(one.grad.abs().sum() > 0 for one in maps)


@pytest.mark.parametrize("encoder", ["tu-vit_small_patch14_dinov2.lvd142m", "tu-vit_small_patch16_dinov3.lvd1689m"])
def test_the_hubs_weights_fit_without_a_key_left_over(encoder: str, monkeypatch, tmp_path) -> None:
    """Weights as from the hub, from a file and through the cache."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        state = timm.create_model(encoder.removeprefix("tu-"), num_classes=0).state_dict()
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    settings = {"encoder_weights": str(path), "encoder_weights_sha256": sha256_file(path)}
    first = build(NetworkConfig(architecture="dpt", encoder=encoder, **settings), CLASSES)
    assert all(torch.equal(value, state[key]) for key, value in first.encoder.body.state_dict().items())
    assert weights.fit(first.encoder.body, state, "the file") == []
    monkeypatch.setattr(weights, "_pretrained", lambda name: copy.copy(state) if name == encoder else {})
    second = build(NetworkConfig(architecture="dpt", encoder=encoder, encoder_weights="hub"), CLASSES)
    assert all(torch.equal(value, state[key]) for key, value in second.encoder.body.state_dict().items())


def test_what_is_no_plain_transformer_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="dpt cannot be built with encoder tu-mixer_b16_224"):
        make_vit("tu-mixer_b16_224")
    with pytest.raises(
        UserError, match="dpt cannot be built with encoder tu-deit_tiny_distilled_patch16_224: .*distil"
    ):
        make_vit("tu-deit_tiny_distilled_patch16_224")
    with pytest.raises(UserError, match="swin_tiny_patch4_window7_224 is a SwinTransformer"):
        make_vit("tu-swin_tiny_patch4_window7_224")
    with pytest.raises(UserError, match="did you mean 'tu-vit_small_patch14_dinov2"):
        make_vit("tu-vit_small_patch14_dinov")
