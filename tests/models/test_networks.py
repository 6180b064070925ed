"""Requirements for all networks, and properties of each."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semiseg.base.errors import UserError
from semiseg.models.architectures.smp import Smp, SmpDeepLabV3
from semiseg.models.network_config import NetworkConfig
from semiseg.models.networks import Network, Output, build

CLASSES = 3
SMALL = NetworkConfig(width=8, queries=5)
LIGHT = {"encoder": "resnet18", "queries": 5}
V2 = NetworkConfig(architecture="deeplab_v2", output_stride=8, **LIGHT)
V3 = NetworkConfig(architecture="deeplab_v3plus", **LIGHT)
PIXEL = {
    "small": SMALL,
    "v2": V2,
    "v2 auxiliary": V2.model_copy(update={"auxiliary_head": True}),
    "v3": V3,
    "v3 separable, auxiliary": V3.model_copy(update={"aspp_separable": True, "auxiliary_head": True}),
    "unet": NetworkConfig(architecture="unet", **LIGHT),
    "fpn auxiliary": NetworkConfig(architecture="fpn", auxiliary_head=True, **LIGHT),
    "dpt": NetworkConfig(architecture="dpt", encoder="tiny_vit", queries=5),
}
CASES = [(name, config, "pixel") for name, config in PIXEL.items()] + [("small", SMALL, "mask"), ("v3", V3, "mask")]
CASES += [("dpt", PIXEL["dpt"], "mask")]
EACH = pytest.mark.parametrize(("config", "head"), [c[1:] for c in CASES], ids=[f"{n}-{h}" for n, _, h in CASES])


@cache
def network(config: NetworkConfig, head: str) -> Network:
    torch.manual_seed(0)
    return build(config, CLASSES, head)


def images(height: int, width: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@EACH
@pytest.mark.parametrize("size", [(64, 64), (49, 70)])
def test_sizes(config: NetworkConfig, head: str, size: tuple[int, int]) -> None:
    output = network(config, head).train()(images(*size))
    assert output.logits.shape == (2, CLASSES, *size)
    assert output.logits.dtype == torch.float32
    assert output.features.ndim == 4 and len(output.features) == 2
    assert (output.auxiliary is not None) == (config.auxiliary_head and head == "pixel")
    assert output.auxiliary is None or output.auxiliary.shape == output.logits.shape
    assert (output.regions is not None) == (head == "mask")


@EACH
def test_forward_is_decode_of_encode(config: NetworkConfig, head: str) -> None:
    net, x = network(config, head).eval(), images(49, 70)
    with torch.no_grad():
        features = net.encode(x)
        whole, halves = net(x), net.decode(features, (49, 70))
    assert torch.equal(whole.logits, halves.logits)
    assert whole.auxiliary is None, "the auxiliary head is for training only"
    sizes = [feature.shape[-1] for feature in features]
    assert sizes == sorted(sizes, reverse=True)


def score(output: Output) -> Tensor:
    """A scalar that depends on all trained outputs of a network."""
    parts = [output.logits] + ([] if output.auxiliary is None else [output.auxiliary])
    if output.regions is not None:
        parts += [
            output.regions.class_logits,
            *(c for c, _ in output.regions.deep),
            *(m for _, m in output.regions.deep),
        ]
    weights = (torch.randn(part.shape, generator=torch.Generator().manual_seed(2)) for part in parts)
    return sum((part * weight).sum() for part, weight in zip(parts, weights, strict=True))


@EACH
def test_every_parameter_has_a_gradient_and_is_in_one_group(config: NetworkConfig, head: str) -> None:
    net = network(config, head).train()
    net.zero_grad()
    score(net(images(64, 64))).backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle
    assert all(p.grad.isfinite().all() for p in net.parameters())
    groups = [*net.encoder_parameters(), *net.head_parameters()]
    assert sorted(map(id, groups)) == sorted(map(id, net.parameters()))
    assert {id(p) for p in net.encoder_parameters()} == {id(p) for p in net.encoder.parameters()}


@EACH
def test_weights_go_through_a_file(config: NetworkConfig, head: str, tmp_path) -> None:
    net, x = network(config, head).eval(), images(33, 33)
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    torch.manual_seed(99)
    other = build(config, CLASSES, head).eval()
    with torch.no_grad():
        assert not torch.equal(other(x).logits, net(x).logits)
        other.load_state_dict(load_file(tmp_path / "model.safetensors"))
        assert torch.equal(other(x).logits, net(x).logits)


@EACH
def test_autocast_gives_float32_logits(config: NetworkConfig, head: str) -> None:
    net, x = network(config, head).eval(), images(49, 70, batch=1)
    with torch.no_grad():
        exact = net(x).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = net(x)
    assert output.logits.dtype == torch.float32
    assert (output.logits - exact).abs().max() < 0.1 * exact.abs().max().clamp(min=1)


def test_small_network_is_small() -> None:
    assert sum(p.numel() for p in build(NetworkConfig(), 5).parameters()) < 100_000


@pytest.mark.parametrize("architecture", ["deeplab_v2", "deeplab_v3plus"])
@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride_is_the_size_of_the_coarsest_features(architecture: str, stride: int) -> None:
    config = NetworkConfig(architecture=architecture, encoder="resnet18", output_stride=stride)
    net = build(config, CLASSES)
    with torch.no_grad():
        assert net.encode(images(321, 65, batch=1))[-1].shape[-2:] == (320 // stride + 1, 64 // stride + 1)


def test_resnet101_deeplab_v2_has_the_official_shape() -> None:
    """Four dilated classifiers of 2048 channels each on a ResNet-101; counted without memory or arithmetic."""
    with torch.device("meta"):
        net = build(NetworkConfig(architecture="deeplab_v2", encoder="tu-resnet101", output_stride=8), 21)
        encoder = sum(p.numel() for p in net.encoder_parameters())
        head = sum(p.numel() for p in net.head_parameters())
        assert net(torch.empty(1, 3, 321, 321)).features.shape == (1, 2048, 41, 41)
    assert encoder == 42_500_160
    assert head == 4 * (2048 * 21 * 9 + 21)


def test_deeplab_v2_sums_its_dilated_classifiers() -> None:
    config = V2.model_copy(update={"aspp_dilations": (6, 12)})
    net, x = network(config, "pixel").eval(), images(65, 65)
    with torch.no_grad():
        features = net.encode(x)[-1]
        parts = [
            nn.functional.conv2d(features, c.weight, c.bias, padding=d, dilation=d)
            for c, d in zip(net.head.classifiers, (6, 12), strict=True)
        ]
        logits = net(x).logits
    torch.testing.assert_close(logits[..., ::8, ::8], parts[0] + parts[1])  # corners aligned: 65 = 8 * 8 + 1


def test_deeplab_v3plus_is_the_librarys_at_sizes_that_it_takes() -> None:
    import segmentation_models_pytorch as smp

    net, x = network(V3, "pixel").eval(), images(64, 96)
    model = smp.DeepLabV3Plus(
        "resnet18",
        encoder_weights=None,
        classes=CLASSES,
        decoder_atrous_rates=(6, 12, 18),
        decoder_aspp_separable=False,
    ).eval()
    model.encoder.load_state_dict(net.encoder.body.state_dict())
    model.decoder.load_state_dict(net.head.decoder.state_dict())
    model.segmentation_head[0].load_state_dict(net.head.classifier.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(net(x).logits, model(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", (*Smp.names, *SmpDeepLabV3.names))
def test_library_architectures_keep_their_result_and_take_any_size(architecture: str) -> None:
    import segmentation_models_pytorch as smp

    config = NetworkConfig(architecture=architecture, encoder="tu-mobilenetv3_small_050")
    torch.manual_seed(0)
    net = build(config, CLASSES).eval()
    strided = {"encoder_output_stride": 16} if architecture in ("deeplabv3", "pan") else {}
    model = smp.create_model(architecture, config.encoder, None, classes=CLASSES, **strided).eval()
    model.encoder.load_state_dict(net.encoder.body.state_dict())
    model.decoder.load_state_dict(net.head.decoder.state_dict())
    model.segmentation_head.load_state_dict(net.head.segmentation_head.state_dict())
    x = images(128, 160, batch=1)  # PAN needs 128
    with torch.no_grad():
        assert torch.equal(net(x).logits, model(x))
        assert net(images(130, 161, batch=1)).logits.shape == (1, CLASSES, 130, 161)


@pytest.mark.parametrize("architecture", ["upernet", "deeplab_v2"])
def test_encoders_without_a_level_at_stride_2(architecture: str) -> None:
    stride = 16 if architecture == "deeplab_v2" else 8
    config = NetworkConfig(architecture=architecture, encoder="tu-convnext_atto", output_stride=stride)
    assert build(config, CLASSES).eval()(images(64, 64)).logits.shape == (2, CLASSES, 64, 64)
    assert build(config, CLASSES, "mask").eval()(images(64, 64)).logits.shape == (2, CLASSES, 64, 64)


def test_frozen_affine_keeps_weights_but_not_statistics() -> None:
    net = build(V2.model_copy(update={"frozen_affine": True}), CLASSES).train()
    norm = next(m for m in net.encoder.modules() if isinstance(m, nn.BatchNorm2d))
    before = norm.running_mean.clone()
    net(images(64, 64)).logits.sum().backward()
    assert norm.weight.grad is None and norm.bias.grad is None
    assert not torch.equal(norm.running_mean, before)
    assert id(norm.weight) not in {id(p) for p in net.encoder_parameters()}
    assert next(net.encoder_parameters()).grad is not None


@pytest.mark.parametrize(
    ("encoder", "hint"),
    [
        ("tu-resnet19", "did you mean 'tu-resnet1"),
        ("resnet19", "did you mean 'resnet1"),
        ("mobilenetv2_100", "tu-mobil"),
    ],
)
def test_unknown_encoder_is_answered_with_the_nearest_name(encoder: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        build(NetworkConfig(architecture="deeplab_v3plus", encoder=encoder), CLASSES)


def test_impossible_pair_of_encoder_and_architecture() -> None:
    with pytest.raises(UserError, match="pan cannot be built"):
        build(NetworkConfig(architecture="pan", encoder="resnet18", output_stride=8), CLASSES)
    with pytest.raises(UserError, match="tu-efficientvit_m0 cannot be built"):
        build(NetworkConfig(architecture="deeplab_v3plus", encoder="tu-efficientvit_m0"), CLASSES)
