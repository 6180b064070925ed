"""iMAS against its formulas, pixel by pixel in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from semiseg import views
from semiseg.methods import Setting, load
from semiseg.methods._terms import Pseudo
from semiseg.views import cutmix
from tests.methods import loop_reference as reference

TAU = 0.7


def share_of(confidence, valid):
    return (confidence[valid] >= TAU).mean()


def weighted_iou(one, other, classes, ignored, weighted):
    """sum_c w_c IoU_c, w the pixel frequency in `other`; or the plain mean over the classes that occur."""
    weights, overlaps = [], []
    for c in range(classes):
        union = ((one == c) | (other == c)).sum()
        if union:
            overlaps.append(((one == c) & (other == c)).sum() / union)
            weights.append(0 if c == ignored else (other == c).sum())
    if not weighted:
        return sum(overlaps) / len(overlaps)
    return sum(w * o for w, o in zip(weights, overlaps, strict=True)) / sum(weights) if sum(weights) else 0.0


def easiness(student, teacher, valid, *, ignored=0, weighted=True, symmetric=True):
    """e of one image from two pairs (label, confidence)."""
    (label_s, confidence_s), (label_t, confidence_t) = student, teacher
    ours, theirs = label_s[valid], label_t[valid]
    of_teacher = share_of(confidence_t, valid) * weighted_iou(ours, theirs, 4, ignored, weighted)
    of_student = share_of(confidence_s, valid) * weighted_iou(theirs, ours, 4, ignored, weighted)
    return 0.5 * (of_teacher + of_student) if symmetric else of_teacher


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {}),
        ({"symmetric": False}, {"symmetric": False}),
        ({"class_weights": False}, {"weighted": False}),
        ({"ignored_class": "none"}, {"ignored": None}),
        ({"ignored_class": "first"}, {"ignored": 0}),
    ],
)
def test_easiness(batch, step, make, options, arguments):
    student = reference.best(reference.probabilities(step.student_eval.exact(batch.unlabelled)))
    teacher = reference.best(reference.probabilities(step.teacher.exact(batch.unlabelled)))
    expected = [
        easiness(*(tuple(map_[i] for map_ in maps) for maps in (student, teacher)), batch.valid.numpy()[i], **arguments)
        for i in range(4)
    ]
    found = make("imas", confidence=TAU, **options).easiness(
        *(Pseudo(torch.from_numpy(label), torch.from_numpy(sure), batch.valid) for label, sure in (student, teacher))
    )
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_class_zero_is_ignored_only_where_it_is_background():
    kind = load("imas")
    counts = torch.ones(1, 4)

    def counted(background, **options):
        setting = Setting(iterations=10, crop=(8, 8), batch=2, background=background, classes=4)
        return kind(kind.Options(**options), setting)._counted(counts)[0].tolist()

    assert counted(0) == [0, 1, 1, 1]
    assert counted(None) == [1, 1, 1, 1]
    assert counted(None, ignored_class="first") == [0, 1, 1, 1]
    assert counted(0, ignored_class="none") == [1, 1, 1, 1]


@pytest.mark.parametrize("weighting", [True, False])
@pytest.mark.parametrize("intensity", [True, False])
@pytest.mark.parametrize("adaptive", [True, False])
def test_losses(batch, step, make, weighting, intensity, adaptive):
    size, valid, weak = batch.unlabelled.shape[-2:], batch.valid.numpy(), batch.unlabelled.double().numpy()
    student = reference.best(reference.probabilities(step.student_eval.exact(batch.unlabelled)))
    label, confidence = teacher = reference.best(reference.probabilities(step.teacher.exact(batch.unlabelled)))
    e = [easiness(*(tuple(m[i] for m in maps) for maps in (student, teacher)), valid[i]) for i in range(4)]

    strong = views.rand_augment(batch.unlabelled, step.draws, "strong", 2, views.IMAS).double().numpy()
    if intensity:
        strong = np.stack([e[i] * strong[i] + (1 - e[i]) * weak[i] for i in range(4)])
    ranks = np.argsort(e)  # the easiest is paired with the hardest
    partners = dict(zip(ranks, ranks[::-1], strict=True))
    order = [partners[i] for i in range(4)] if adaptive else step.draws.permutation("partners", 4)
    boxes = cutmix.imas_boxes(step.draws, "cutmix", size)
    mixed, mixed_label, mixed_confidence, mixed_valid = (
        reference.pasted(a, a[order], boxes) for a in (weak, label, confidence, valid)
    )

    def unlabelled(images, label, confidence, valid):
        logits = step.student.exact(torch.from_numpy(images).float())
        chosen = (confidence >= TAU) & valid
        parts = [reference.cross_entropy(*(a[i : i + 1] for a in (logits, label, chosen)), 32 * 32) for i in range(4)]
        return sum(part * (e[i] if weighting else 1) for i, part in enumerate(parts)) / 4

    intense = unlabelled(strong, label, confidence, valid)
    expected = intense
    if not adaptive or step.draws.shared("trigger")[0] < np.mean(e):
        expected = 0.5 * (intense + unlabelled(mixed, mixed_label, mixed_confidence, mixed_valid))
    losses = make(
        "imas", confidence=TAU, loss_weighting=weighting, adaptive_intensity=intensity, adaptive_cutmix=adaptive
    ).losses(batch, step)
    wanted = {
        "supervised": reference.supervised(step.student.exact(batch.image), batch.label.numpy()),
        "unlabelled": 3.0 * expected,
    }
    assert reference.values(losses) == pytest.approx(wanted, rel=1e-5)


def test_cutmix_is_triggered_as_often_as_images_are_easy(batch, step, make, monkeypatch):
    """Both branches occur, and without a trigger the loss is that of the intensity branch alone."""
    method = make("imas", confidence=TAU)
    found = []
    for draw in (0.0, 0.999):
        monkeypatch.setattr(type(step.draws), "shared", lambda self, stream, n=1, draw=draw: np.full(n, draw))
        found.append(reference.values(method.losses(batch, step))["unlabelled"])
    monkeypatch.setattr(cutmix, "paste", lambda base, donor, mask: base)
    assert reference.values(method.losses(batch, step))["unlabelled"] == found[1] != found[0]


def test_without_a_trigger_batch_norm_sees_no_mixed_image(batch, step, make, monkeypatch):
    seen = []
    student = step.student
    step.student = lambda pixels: seen.append(pixels) or student(pixels)
    for draw in (0.0, 0.999):
        monkeypatch.setattr(type(step.draws), "shared", lambda self, stream, n=1, draw=draw: np.full(n, draw))
        make("imas", confidence=TAU).losses(batch, step)
    mixed = [pixels.split([2, 4, 4, 4])[2] for pixels in seen]
    assert not torch.equal(mixed[0], batch.unlabelled)
    assert torch.equal(mixed[1], batch.unlabelled)


def test_the_easiest_receives_from_the_hardest(step, make):
    everyone = torch.tensor([0.3, 0.9, 0.1, 0.5])
    assert make("imas")._partners(everyone, step).tolist() == [3, 2, 1, 0]


maps = some.lists(some.integers(0, 3), min_size=12, max_size=12)
confidences = some.lists(some.floats(0, 1, width=32), min_size=12, max_size=12)


def as_pseudo(label, confidence):
    return Pseudo(
        torch.tensor(label).view(1, 3, 4), torch.tensor(confidence).view(1, 3, 4), torch.ones(1, 3, 4, dtype=torch.bool)
    )


@settings(max_examples=60)
@given(maps, confidences, maps, confidences, some.booleans(), some.sampled_from(["background", "none"]))
def test_easiness_is_a_share_and_symmetric(labels, sure, other_labels, other_sure, weights, ignored):
    kind = load("imas")
    setting = Setting(iterations=10, crop=(3, 4), batch=2, background=0, classes=4)
    method = kind(kind.Options(class_weights=weights, ignored_class=ignored), setting)
    one, other = as_pseudo(labels, sure), as_pseudo(other_labels, other_sure)
    e = float(method.easiness(one, other))
    assert 0 <= e <= 1 + 1e-6
    assert float(method.easiness(other, one)) == pytest.approx(e, abs=1e-6)


@settings(max_examples=40)
@given(maps)
def test_equal_confident_maps_are_as_easy_as_can_be(labels):
    kind = load("imas")
    setting = Setting(iterations=10, crop=(3, 4), batch=2, background=0, classes=4)
    same = as_pseudo(labels, [1.0] * 12)
    # A map that is nothing but the ignored class has no weights, and counts as hard: so does the published code.
    assert float(kind(kind.Options(), setting).easiness(same, same)) == pytest.approx(float(any(labels)))
    assert float(kind(kind.Options(ignored_class="none"), setting).easiness(same, same)) == pytest.approx(1)
