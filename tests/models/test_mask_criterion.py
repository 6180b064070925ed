"""MaskFormer's criterion equals a loop in float64, and leaves out ignored pixels."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from semiseg.models.mask_criterion import mask_classification
from semiseg.models.outputs import Regions

CLASSES, IGNORE = 3, 255


def problem(seed: int, queries: int = 4, size: int = 4, layers: int = 2) -> tuple[Regions, Tensor]:
    """Regions and labels of the same size, where no cell is shared between classes."""
    g = torch.Generator().manual_seed(seed)

    def layer() -> tuple[Tensor, Tensor]:
        return torch.randn(2, queries, CLASSES + 1, generator=g), 2 * torch.randn(2, queries, size, size, generator=g)

    (classes, masks), *deep = [layer() for _ in range(layers)]
    label = torch.randint(0, CLASSES, (2, size, size), generator=g)
    label[torch.rand(label.shape, generator=g) < 0.3] = IGNORE
    return Regions(classes, masks, torch.zeros(2, queries, 2), torch.zeros(2, 2, size, size), deep), label


def slow_mask_loss(logits: Tensor, label: Tensor, wanted: int) -> float:
    """20 focal + dice of one mask against one class, over valid pixels."""
    focal, both, sizes, pixels = 0.0, 0.0, 0.0, 0
    for value, truth in zip(logits.double().flatten().tolist(), label.flatten().tolist(), strict=True):
        if truth == IGNORE:
            continue
        p, inside = 1 / (1 + math.exp(-value)), truth == wanted
        right, alpha = (p, 0.25) if inside else (1 - p, 0.75)
        focal += -alpha * (1 - right) ** 2 * math.log(right)
        both, sizes, pixels = both + p * inside, sizes + p + inside, pixels + 1
    return 20 * focal / pixels + 1 - (2 * both + 1) / (sizes + 1)


def slow_layer(classes: Tensor, masks: Tensor, label: Tensor) -> float:
    """One layer's loss; the matching tries all assignments."""
    queries = classes.shape[1]
    mask_sum, pairs, class_sum, weights = 0.0, 0, 0.0, 0.0
    for b in range(len(label)):
        wanted = sorted(set(label[b].flatten().tolist()) - {IGNORE})
        if not wanted:
            continue
        p = classes[b].double().softmax(dim=1)
        losses = {(q, c): slow_mask_loss(masks[b, q], label[b], c) for q in range(queries) for c in wanted}
        best = min(
            permutations(range(queries), len(wanted)),
            key=lambda chosen: sum(losses[q, c] - float(p[q, c]) for q, c in zip(chosen, wanted, strict=True)),
        )
        mask_sum += sum(losses[q, c] for q, c in zip(best, wanted, strict=True))
        pairs += len(wanted)
        targets = dict(zip(best, wanted, strict=True))
        for q in range(queries):
            weight = 1.0 if q in targets else 0.1
            class_sum += -weight * math.log(float(p[q, targets.get(q, CLASSES)]))
            weights += weight
    return mask_sum / max(pairs, 1) + (class_sum / weights if weights else 0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), layers=st.integers(1, 3))
def test_equals_the_loop(seed: int, layers: int) -> None:
    regions, label = problem(seed, layers=layers)
    every = [(regions.class_logits, regions.mask_logits), *regions.deep]
    expected = sum(slow_layer(classes, masks, label) for classes, masks in every)
    assert float(mask_classification(regions, label)) == pytest.approx(expected, rel=1e-5)


def test_label_of_twice_the_size_is_the_same_as_its_cells() -> None:
    regions, label = problem(0)
    double = label.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(mask_classification(regions, double), mask_classification(regions, label))


def test_order_of_queries_does_not_matter() -> None:
    regions, label = problem(1)
    order = torch.tensor([2, 0, 3, 1])
    other = Regions(
        regions.class_logits[:, order],
        regions.mask_logits[:, order],
        regions.embeddings,
        regions.pixels,
        [(c[:, order.flip(0)], m[:, order.flip(0)]) for c, m in regions.deep],
    )
    torch.testing.assert_close(mask_classification(other, label), mask_classification(regions, label))


def gradients(regions: Regions, label: Tensor) -> tuple[float, Tensor, Tensor]:
    for tensor in (regions.class_logits, regions.mask_logits):
        tensor.requires_grad_()
    loss = mask_classification(regions, label)
    loss.backward()
    return float(loss.detach()), regions.class_logits.grad, regions.mask_logits.grad


def test_ignored_pixels_and_images_have_no_gradient() -> None:
    regions, label = problem(2)
    label[1] = IGNORE
    loss, classes, masks = gradients(regions, label)
    assert loss > 0 and classes[0].abs().sum() > 0
    assert (classes[1] == 0).all() and (masks[1] == 0).all()
    assert (masks[0].abs().sum(dim=0)[label[0] == IGNORE] == 0).all()
    assert (masks[0].abs().sum(dim=0)[label[0] != IGNORE] > 0).all()


def test_all_ignored_is_zero() -> None:
    regions, label = problem(3)
    loss, classes, masks = gradients(regions, torch.full_like(label, IGNORE))
    assert loss == 0 and (classes == 0).all() and (masks == 0).all()


def test_more_classes_than_queries() -> None:
    regions, label = problem(4, queries=1)
    loss, classes, masks = gradients(regions, label)
    assert math.isfinite(loss) and classes.isfinite().all() and masks.isfinite().all()


def test_perfect_regions_cost_almost_nothing() -> None:
    label = torch.tensor([[[0, 1], [2, IGNORE]]])
    masks = torch.stack([torch.where(label[0] == c, 20.0, -20.0) for c in range(CLASSES)])[None]
    classes = 20 * torch.eye(CLASSES, CLASSES + 1)[None]
    regions = Regions(classes, masks, torch.zeros(1, 3, 2), torch.zeros(1, 2, 2, 2))
    assert float(mask_classification(regions, label)) < 1e-5


def test_float32_under_autocast() -> None:
    regions, label = problem(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = mask_classification(regions, label)
    assert torch.equal(loss, mask_classification(regions, label))


def test_the_mean_can_be_taken_over_processes() -> None:
    regions, label = problem(6)
    label[0, :3] = IGNORE
    sums: list[list[tuple[Tensor, Tensor]]] = []
    for half in (slice(0, 1), slice(1, 2)):
        found: list[tuple[Tensor, Tensor]] = []
        mask_classification(regions[half], label[half], mean=lambda t, c, to=found: (to.append((t, c)), t)[1])
        sums.append(found)
    means = [(ta + tb) / (ca + cb) for (ta, ca), (tb, cb) in zip(*sums, strict=True)]
    torch.testing.assert_close(2 * sum(means), mask_classification(regions, label))
