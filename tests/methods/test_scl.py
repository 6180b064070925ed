"""SCL's structured term and its sum of losses, against their formulas in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from semiseg import views
from semiseg.base.errors import UserError
from semiseg.methods import Setting, load
from semiseg.methods.scl import all_pairs, drawn_pairs, drawn_pixels
from semiseg.models import criteria
from semiseg.views import cutmix
from tests.methods import loop_reference as reference


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def structured(student, teacher, groups):
    """Mean of (a^s_ij - a^t_ij)^2 over all ordered pairs within each group of positions; vectors are rows."""
    total, count = 0.0, 0
    for group in groups:
        for i in group:
            for j in group:
                total += (cosine(student[i], student[j]) - cosine(teacher[i], teacher[j])) ** 2
                count += 1
    return total / count


@pytest.fixture
def facts(batch, step):
    """Student's and teacher's probabilities on the mixed images, and the mix."""
    size = batch.unlabelled.shape[-2:]
    boxes = cutmix.fixed_area_boxes(step.draws, "cutmix", size, area=0.5)
    strong = views.photometric(batch.unlabelled, step.draws, "strong").numpy()
    mixed = torch.from_numpy(reference.pasted(strong, reference.before(strong), boxes))
    plain = reference.probabilities(step.teacher.exact(batch.unlabelled))
    mirrored = reference.probabilities(step.teacher.exact(batch.unlabelled.flip(3)))[..., ::-1]
    teacher = {mirror: (plain + mirrored) / 2 if mirror else plain for mirror in (True, False)}
    return {
        "boxes": boxes,
        "student": reference.probabilities(step.student.exact(mixed)),
        "teacher": {k: reference.pasted(t, reference.before(t), boxes) for k, t in teacher.items()},
        "valid": reference.pasted(batch.valid.numpy(), reference.before(batch.valid.numpy()), boxes),
        "supervised": reference.supervised(step.student.exact(batch.image), batch.label.numpy()),
        "ramp": math.exp(-5 * (1 - 60 / 80) ** 2),
    }


@pytest.mark.parametrize("mirror", [True, False])
def test_sampled_inside_the_box(batch, step, make, facts, mirror):
    teacher, valid = facts["teacher"][mirror], facts["valid"]
    of_images, outside = [], 0
    shares = step.draws.uniform("pixels", 2 * 20)
    for i, (top, left, bottom, right) in enumerate(facts["boxes"].tolist()):
        rows = [top + int(u * (bottom - top)) for u in shares[i, :20]]
        columns = [left + int(u * (right - left)) for u in shares[i, 20:]]
        kept = [k for k, place in enumerate(zip(rows, columns, strict=True)) if valid[i][place]]
        outside += 20 - len(kept)
        vectors = [
            [maps[i, :, y, x] for y, x in zip(rows, columns, strict=True)] for maps in (facts["student"], teacher)
        ]
        of_images.append(structured(*vectors, [kept]))
    assert outside > 0, "padding must be among the drawn pixels, or its mask is not tested"
    expected = {
        "supervised": facts["supervised"],
        "consistency": facts["ramp"] * reference.squared(facts["student"], teacher, valid, valid.sum()),
        "structured": facts["ramp"] * 3.0 * sum(of_images) / 4,
    }
    losses = make("scl", pixels=20, lambda_structured=3.0, ramp_up=0.8, mirror=mirror).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


def test_all_pairs_of_the_map(batch, step, make, facts):
    """Pairs never cross the border of the box, and padding belongs to no pair."""
    of_images = []
    for i, (top, left, bottom, right) in enumerate(facts["boxes"].tolist()):
        inside = np.zeros((32, 32), dtype=bool)
        inside[top:bottom, left:right] = True
        total, count = 0.0, 0
        for side in (inside & facts["valid"][i], ~inside & facts["valid"][i]):
            tables = []
            for maps in (facts["student"], facts["teacher"][True]):
                vectors = maps[i][:, side].T
                vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                tables.append(vectors @ vectors.T)
            total += ((tables[0] - tables[1]) ** 2).sum()
            count += side.sum() ** 2
        of_images.append(total / count)
    losses = make("scl", scope="full", ramp_up=0).losses(batch, step)
    assert reference.values(losses)["structured"] == pytest.approx(sum(of_images) / 4, rel=1e-5)


def test_switches(batch, step, make):
    assert set(make("scl", structured=False).losses(batch, step)) == {"supervised", "consistency"}
    relaxed = make("scl", boundary_relaxation=True).losses(batch, step)["supervised"]
    expected = criteria.boundary_relaxed(step.student(batch.image).logits, batch.label)
    assert torch.allclose(relaxed, expected)


def random_vectors(seed, n=9, classes=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, n, classes, generator=generator, dtype=torch.float64) + 0.01


def test_gradients():
    """Both ways to sum over pairs, with pixels that do not count."""
    counted = torch.rand(2, 9, generator=torch.Generator().manual_seed(0)) > 0.3
    student, teacher = random_vectors(1).requires_grad_(), random_vectors(2)
    assert torch.autograd.gradcheck(lambda s: drawn_pairs(s, teacher, counted), student)
    assert torch.autograd.gradcheck(lambda s: all_pairs(s, teacher, counted, ~counted), student)


seeds = some.integers(0, 10_000)


@settings(max_examples=25)
@given(seeds, seeds, some.permutations(range(9)), some.lists(some.floats(0.01, 100), min_size=9, max_size=9))
def test_the_structured_loss_is_about_relations(one, other, order, scales):
    """0 for equal maps; no matter in which order pixels are drawn, nor how long their vectors are."""
    student, teacher, counted = random_vectors(one), random_vectors(other), torch.ones(2, 9, dtype=torch.bool)
    scale = torch.tensor(scales, dtype=torch.float64)[:, None]
    for loss in (drawn_pairs, all_pairs):
        value = loss(student, teacher, counted)
        assert loss(student, student, counted).abs().max() == 0
        assert torch.allclose(loss(student[:, order], teacher[:, order], counted), value)
        assert torch.allclose(loss(student * scale, teacher / scale, counted), value)
    assert torch.allclose(all_pairs(student, teacher, counted), drawn_pairs(student, teacher, counted))


def test_pixels_are_drawn_inside_the_box_and_everywhere_in_it(step):
    boxes = np.array([[0, 0, 3, 5], [10, 20, 12, 32], [0, 0, 32, 32], [31, 31, 32, 32]])
    positions = drawn_pixels(boxes, step.draws, 400, 32)
    for (top, left, bottom, right), drawn in zip(boxes.tolist(), positions.tolist(), strict=True):
        found = {divmod(position, 32) for position in drawn}
        inside = {(y, x) for y in range(top, bottom) for x in range(left, right)}
        assert found <= inside
        assert len(inside) > 100 or found == inside


def test_more_pixels_than_the_box_holds_are_refused(setting):
    kind = load("scl")
    kind.check(kind.Options(pixels=512), setting)
    with pytest.raises(UserError, match="pixels: 513 .* holds 512 .* at most 512"):
        kind.check(kind.Options(pixels=513), setting)
    kind.check(kind.Options(pixels=513, scope="full"), setting)


def test_the_cost_does_not_grow_with_the_image(monkeypatch):
    """Pairs are formed of the drawn pixels only, on any size of image."""
    from semiseg.feed.draws import Draws
    from semiseg.methods import scl

    kind = load("scl")
    method = kind(kind.Options(pixels=64), Setting(iterations=10, crop=(32, 32), batch=2, classes=4))
    found = []
    monkeypatch.setattr(scl, "drawn_pairs", lambda *tensors: found.append([x.shape for x in tensors]))
    for side in (32, 128):
        maps = torch.rand(2, 4, side, side)
        boxes = torch.tensor([[0, 0, side // 2, side]] * 2)
        step = type("Step", (), {"draws": Draws(0, 0, range(2))})()
        valid = torch.ones(2, side, side, dtype=torch.bool)
        method._structured(maps, maps, valid, valid, boxes, step)
    assert found == [[(2, 64, 4), (2, 64, 4), (2, 64)]] * 2
