"""The reference methods against their formulas, pixel by pixel in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from semiseg import views
from semiseg.views import cutmix
from tests.methods import loop_reference as reference

TAU = 0.7  # between the stub networks' confidences, so that pixels fall on both sides


def confident_share(confidence):
    share = (confidence >= TAU).mean()
    assert 0.05 < share < 0.95
    return share


def unimatch_mix(batch, step, donor_logits, own_logits, view, stream):
    """One strong view of UniMatch or FixMatch: mixed pixels, labels, and which pixels count."""
    boxes = cutmix.unimatch_boxes(step.draws, stream, batch.unlabelled.shape[-2:], p=0.5)
    strong = views.photometric(batch.unlabelled, step.draws, view).numpy()
    mixed = reference.pasted(strong, reference.before(strong), boxes)
    label, confidence = reference.best(reference.probabilities(own_logits))
    donor_label, donor_confidence = reference.best(reference.probabilities(donor_logits))
    label = reference.pasted(label, reference.before(donor_label), boxes)
    confidence = reference.pasted(confidence, reference.before(donor_confidence), boxes)
    valid = reference.pasted(batch.valid.numpy(), reference.before(batch.valid.numpy()), boxes)
    confident_share(confidence)
    return torch.from_numpy(mixed), label, (confidence >= TAU) & valid, valid.sum()


def test_supervised(batch, step, make):
    expected = reference.supervised(step.student.exact(batch.image), batch.label.numpy())
    assert reference.values(make("supervised").losses(batch, step)) == pytest.approx({"supervised": expected}, rel=1e-5)


def test_fixmatch(batch, step, make):
    donor, own = step.student_eval.exact(batch.unlabelled), step.student.exact(batch.unlabelled)
    mixed, label, chosen, count = unimatch_mix(batch, step, donor, own, "strong", "cutmix")
    expected = {
        "supervised": 0.5 * reference.supervised(step.student.exact(batch.image), batch.label.numpy()),
        "strong": 0.5 * reference.cross_entropy(step.student.exact(mixed), label, chosen, count),
    }
    losses = make("fixmatch", confidence=TAU).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


def test_unimatch(batch, step, make):
    donor, own = step.student_eval.exact(batch.unlabelled), step.student.exact(batch.unlabelled)
    expected = {"supervised": 0.5 * reference.supervised(step.student.exact(batch.image), batch.label.numpy())}
    for k in (1, 2):
        mixed, label, chosen, count = unimatch_mix(batch, step, donor, own, f"strong{k}", f"cutmix{k}")
        loss = reference.cross_entropy(step.student.exact(mixed), label, chosen, count)
        expected[f"strong{k}"] = 0.5 * 0.25 * loss

    features = step.student.encode(batch.unlabelled)
    perturbed = []
    for k, feature in enumerate(features):
        kept = step.draws.uniform(f"dropout{k}", feature.shape[1]) >= 0.5
        assert 0.2 < kept.mean() < 0.8
        array = feature.detach().double().numpy()
        for i, c in np.ndindex(kept.shape):
            array[i, c] *= 2.0 * kept[i, c]
        perturbed.append(torch.from_numpy(array).float())
    with torch.no_grad():
        logits = step.student.decode(perturbed, batch.unlabelled.shape[-2:]).logits.double().numpy()
    label, confidence = reference.best(reference.probabilities(own))
    chosen = (confidence >= TAU) & batch.valid.numpy()
    loss = reference.cross_entropy(logits, label, chosen, batch.valid.numpy().sum())
    expected["feature"] = 0.5 * 0.5 * loss
    losses = make("unimatch", confidence=TAU).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


def test_mean_teacher(batch, step, make):
    teacher = reference.probabilities(step.teacher.exact(batch.unlabelled))
    strong = views.photometric(batch.unlabelled, step.draws, "strong")
    student = reference.probabilities(step.student.exact(strong))
    valid = batch.valid.numpy()
    ramp = math.exp(-5 * (1 - 60 / 80) ** 2)  # iteration 60 of a ramp-up over 80
    expected = {
        "supervised": reference.supervised(step.student.exact(batch.image), batch.label.numpy()),
        "consistency": ramp * 2.0 * reference.squared(student, teacher, valid, valid.sum()),
    }
    losses = make("mean_teacher", lambda_consistency=2.0, ramp_up=0.8).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("colour", [True, False])
def test_cutmix_seg(batch, step, make, colour):
    boxes = cutmix.fixed_area_boxes(step.draws, "cutmix", batch.unlabelled.shape[-2:], area=0.5)
    strong = batch.unlabelled
    if colour:
        strong = views.photometric(strong, step.draws, "strong", jitter=(0.4, 0.4, 0.4, 0.1), p_blur=0.0)
    mixed = reference.pasted(strong, reference.before(strong), boxes)
    teacher = reference.probabilities(step.teacher.exact(batch.unlabelled))
    teacher = reference.pasted(teacher, reference.before(teacher), boxes)
    valid = reference.pasted(batch.valid.numpy(), reference.before(batch.valid.numpy()), boxes)
    student = reference.probabilities(step.student.exact(torch.from_numpy(mixed)))
    # One share for the whole batch; every pixel of the batch counts in both means.
    share = confident_share(teacher.max(1))
    expected = {
        "supervised": reference.supervised(step.student.exact(batch.image), batch.label.numpy()),
        "consistency": share * reference.squared(student, teacher, valid, valid.size),
    }
    losses = make("cutmix_seg", confidence=TAU, colour=colour).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


def test_cps_with_cutmix(batch, step, make):
    size = batch.unlabelled.shape[-2:]
    inside = cutmix.mask(cutmix.cps_boxes(step.draws, "cutmix", size), size).numpy()

    def mix(array):
        array = np.asarray(array)
        channels = inside if array.ndim == 3 else inside[:, None]
        return np.where(channels, reference.before(array), array)

    mixed, valid = torch.from_numpy(mix(batch.unlabelled)), mix(batch.valid)
    networks = {"first": step.student, "second": step.second}
    labels = {name: mix(network.exact(batch.unlabelled).argmax(1)) for name, network in networks.items()}
    expected = {}
    for name, other in (("first", "second"), ("second", "first")):
        network = networks[name]
        expected[f"supervised_{name}"] = reference.supervised(network.exact(batch.image), batch.label.numpy())
        loss = reference.cross_entropy(network.exact(mixed), labels[other], valid, valid.sum())
        expected[f"cross_{name}"] = 1.5 * loss
    losses = make("cps", lambda_cps=1.5).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


def test_cps_without_cutmix(batch, step, make):
    images = torch.cat([batch.image, batch.unlabelled])
    counted = np.concatenate([np.ones_like(batch.label.numpy(), dtype=bool), batch.valid.numpy()])
    expected = {}
    for name, network, other in (("first", step.student, step.second), ("second", step.second, step.student)):
        expected[f"supervised_{name}"] = reference.supervised(network.exact(batch.image), batch.label.numpy())
        label = other.exact(images).argmax(1)
        expected[f"cross_{name}"] = reference.cross_entropy(network.exact(images), label, counted, counted.sum())
    losses = make("cps", cutmix=False).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("adaptive", [True, False])
def test_augseg(batch, step, make, adaptive):
    size, draws = batch.unlabelled.shape[-2:], step.draws
    teacher = reference.probabilities(step.teacher.exact(batch.unlabelled))
    label, confidence = reference.best(teacher)
    entropy = -(teacher * np.log(teacher)).sum(1) / math.log(4)
    sure = ((1 - entropy) * confidence).mean((1, 2))
    strong = views.rand_augment(batch.unlabelled, draws, "strong", (1, 3), views.AUGSEG).numpy()
    valid, order = batch.valid.numpy(), draws.permutation("partners", 4)

    donors = [strong.copy(), label.copy(), confidence.copy(), valid.copy()]
    receives = draws.uniform("labelled")[:, 0] > sure
    assert 0 < receives.sum() < 4
    boxes = np.asarray(cutmix.augseg_boxes(draws, "labelled_box", size, beta=(8, 2)))
    for i in np.flatnonzero(receives) if adaptive else ():
        top, left, bottom, right = boxes[i]
        giver = order[i] % 2
        inside = np.s_[..., top:bottom, left:right]
        truth = batch.label.numpy()[giver]
        known = truth != 255
        for array, given in zip(donors, (batch.image[giver], np.where(known, truth, 0), known, known), strict=True):
            array[i][inside] = np.asarray(given)[inside]
    boxes = cutmix.augseg_boxes(draws, "unlabelled_box", size, beta=(4, 4))
    own = [strong, label, confidence, valid]
    mixed, label, confidence, valid = (reference.pasted(a, b[order], boxes) for a, b in zip(own, donors, strict=True))

    chosen = (confidence >= TAU) & valid
    loss = reference.cross_entropy(step.student.exact(torch.from_numpy(mixed)), label, chosen, chosen.size)
    expected = {
        "supervised": reference.supervised(step.student.exact(batch.image), batch.label.numpy()),
        "unlabelled": loss,
    }
    losses = make("augseg", confidence=TAU, adaptive_cutmix=adaptive).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)
