"""The mask-classification head."""

from __future__ import annotations

import torch

from semiseg.models.mask_criterion import mask_classification
from semiseg.models.network_config import NetworkConfig
from semiseg.models.networks import build
from semiseg.models.parts.mask_head import positions, semantic_logits

CONFIG = NetworkConfig(width=8, queries=6, decoder_layers=3, mask_width=32)


def test_regions_have_the_documented_shapes() -> None:
    regions = build(CONFIG, 4, "mask")(torch.randn(2, 3, 65, 97)).regions
    assert regions.class_logits.shape == (2, 6, 5)
    assert regions.mask_logits.shape == (2, 6, 17, 25)
    assert regions.embeddings.shape == (2, 6, 32)
    assert regions.pixels.shape == (2, 32, 17, 25)
    assert [(c.shape, m.shape) for c, m in regions.deep] == [((2, 6, 5), (2, 6, 17, 25))] * 2
    product = torch.einsum("bnd,bdhw->bnhw", regions.embeddings, regions.pixels)
    torch.testing.assert_close(product, regions.mask_logits)


def test_semantic_map_is_the_sum_over_queries() -> None:
    torch.manual_seed(0)
    classes, masks = torch.randn(2, 5, 4), torch.randn(2, 5, 6, 7)
    expected = torch.zeros(2, 3, 6, 7)
    for query in range(5):
        for c in range(3):
            share = classes[:, query].softmax(dim=1)[:, c]
            expected[:, c] += share[:, None, None] * masks[:, query].sigmoid()
    expected = expected / expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(semantic_logits(classes, masks, (6, 7)).exp(), expected)


def test_logits_are_log_probabilities_of_the_regions() -> None:
    output = build(CONFIG, 4, "mask").eval()(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(output.logits.exp().sum(dim=1), torch.ones(2, 64, 64))
    regions = output.regions
    assert torch.equal(output.logits, semantic_logits(regions.class_logits, regions.mask_logits, (64, 64)))


def test_positions_are_distinct_and_bounded() -> None:
    places = positions(9, 7, 32, torch.device("cpu"))
    assert places.shape == (63, 32) and places.abs().max() <= 1
    assert torch.cdist(places, places).add(torch.eye(63)).min() > 1e-2


def test_every_layer_learns_from_its_own_masks() -> None:
    """The gradient of an earlier layer's loss reaches that layer, and not the ones after it."""
    torch.manual_seed(0)
    net = build(CONFIG, 4, "mask")
    classes, masks = net(torch.randn(2, 3, 64, 64)).regions.deep[0]
    (classes.square().sum() + masks.square().sum()).backward()
    reached = [any(p.grad is not None and p.grad.any() for p in layer.parameters()) for layer in net.head.layers]
    assert reached == [True, False, False]


def test_head_and_criterion_learn_a_picture() -> None:
    torch.manual_seed(0)
    net = build(CONFIG, 3, "mask")
    label = torch.zeros(2, 64, 64, dtype=torch.long)
    label[:, 10:40, 10:40], label[1, 40:, :] = 1, 2
    images = torch.randn(3, 3, 1, 1)[label][..., 0, 0].permute(0, 3, 1, 2) + 0.1 * torch.randn(2, 3, 64, 64)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(50):
        optimiser.zero_grad()
        mask_classification(net(images).regions, label).backward()
        optimiser.step()
    agreement = (net(images).logits.argmax(dim=1) == label).float().mean()
    assert agreement > 0.95
