"""RC2L's region losses against their formulas in float64."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch

from semiseg import views
from semiseg.methods.rc2l import contrast, cosine, dice, pooled
from semiseg.views import cutmix
from tests.methods import loop_reference as reference

TAU = 0.6


def dice_of(one, other):
    return 2 * (one * other).sum() / (one.sum() + other.sum())


def mean_under(mask, pixels):
    """Features [D,h,w] averaged under a mask."""
    return (pixels * mask).sum((1, 2)) / mask.sum()


def cosine_of(a, b):
    return a @ b / math.sqrt((a @ a) * (b @ b))


def info_nce(similarities, right, temperature):
    powers = [math.exp(s / temperature) for s in similarities]
    return -math.log(powers[right] / sum(powers))


def best_pairing(score, regions):
    """The queries for the given regions with the largest sum of scores, found by trying all."""
    queries = range(len(score))
    options = itertools.permutations(queries, len(regions))
    return max(options, key=lambda chosen: sum(score[q, k] for q, k in zip(chosen, regions, strict=True)))


def mixed_facts(batch, step):
    """The student's outputs for the mixed images, and the teacher's for the unmixed images."""
    size, valid = batch.unlabelled.shape[-2:], batch.valid.numpy()
    boxes = cutmix.unimatch_boxes(step.draws, "cutmix", size, p=0.5)
    strong = views.photometric(batch.unlabelled, step.draws, "strong").numpy()
    mixed = torch.from_numpy(reference.pasted(strong, reference.before(strong), boxes))
    maps = reference.best(reference.probabilities(step.teacher.exact(batch.unlabelled)))
    label, confidence, valid = (reference.pasted(a, reference.before(a), boxes) for a in (*maps, valid))

    with torch.no_grad():
        teacher = copy.deepcopy(step.teacher.network).double()(batch.unlabelled.double()).regions.pixels.numpy()
        regions = copy.deepcopy(step.student).double()(mixed.double()).regions
    inside = cutmix.mask(boxes, size).numpy()[:, ::2, ::2]  # nearest neighbour at half the size
    return {
        "label": label,
        "valid": valid,
        "chosen": (confidence >= TAU) & valid,
        "logits": step.student.exact(mixed),
        "teacher": np.where(inside[:, None], reference.before(teacher), teacher),
        "masks": 1 / (1 + np.exp(-regions.mask_logits.numpy())),
        "classes": reference.probabilities(regions.class_logits.numpy().transpose(0, 2, 1)[..., None])[..., 0],
        "pixels": regions.pixels.numpy(),
        "supervised": reference.supervised(step.student.exact(batch.image), batch.label.numpy()),
    }


@pytest.mark.parametrize("min_area", [0.001, 0.2])
def test_losses(batch, step, make, min_area):
    facts = mixed_facts(batch, step)
    terms = {"rmc": [], "rfc": [], "rcc": []}
    for i in range(4):
        targets = {}
        for k in range(4):
            full = (facts["label"][i] == k) & facts["chosen"][i]
            mask = full.reshape(16, 2, 16, 2).mean((1, 3))
            if mask.mean() > min_area:
                targets[k] = mask
        student = facts["masks"][i]
        score = np.array([[facts["classes"][i, k, q] for k in range(4)] for q in range(6)])
        overlap = np.zeros((6, 4))
        for (q, mask), (k, target) in itertools.product(enumerate(student), targets.items()):
            overlap[q, k] = dice_of(mask, target)
        for query, k in zip(best_pairing(score + overlap, list(targets)), targets, strict=True):
            likeness = [
                cosine_of(mean_under(mask, facts["pixels"][i]), mean_under(targets[k], facts["teacher"][i]))
                for mask in student
            ]
            terms["rmc"].append(info_nce(overlap[:, k], query, 0.1))
            terms["rfc"].append(info_nce(likeness, query, 0.1))
            terms["rcc"].append(-math.log(facts["classes"][i, k, query]))
    assert len(terms["rmc"]) in {0.001: range(9, 16), 0.2: range(4, 9)}[min_area]
    expected = {name: 0.1 * sum(values) / len(values) for name, values in terms.items()}
    expected["supervised"] = facts["supervised"]
    expected["smc"] = reference.cross_entropy(facts["logits"], facts["label"], facts["chosen"], facts["valid"].sum())
    assert reference.values(make("rc2l", confidence=TAU, min_area=min_area).losses(batch, step)) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("name", ["rmc", "rfc", "rcc", "smc"])
def test_each_loss_can_stand_alone_and_be_left_out(batch, step, make, name):
    others = {f"lambda_{other}": 0 for other in ("rmc", "rfc", "rcc", "smc") if other != name}
    assert set(make("rc2l", **others).losses(batch, step)) == {"supervised", name}
    left = {"supervised", "rmc", "rfc", "rcc", "smc"} - {name}
    assert set(make("rc2l", **{f"lambda_{name}": 0}).losses(batch, step)) == left


def test_without_any_confident_pixel_the_losses_are_zero_and_not_nan(batch, step, make):
    step.replace = torch.zeros_like
    losses = make("rc2l").losses(batch, step)
    assert not any(loss.any() for name, loss in losses.items() if name != "supervised")
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in step.student.parameters())


def test_gradients():
    """Gradients of all steps from mask logits, class logits and features to the region losses."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    logits, features, targets = random(2, 5, 4, 4), random(2, 3, 4, 4), random(2, 3, 4, 4).sigmoid()
    pixels, queries = random(2, 3, 4, 4), torch.tensor([[0, 3, 1], [4, 2, 0]])

    def masks(logits):
        return contrast(dice(logits.sigmoid(), targets), queries, 0.1)

    def likeness(logits, features):
        return contrast(cosine(pooled(features, logits.sigmoid()), pooled(pixels, targets)), queries, 0.1)

    assert torch.autograd.gradcheck(masks, logits.requires_grad_())
    assert torch.autograd.gradcheck(likeness, (logits, features.requires_grad_()))


def test_fewer_queries_than_regions(batch, step, make):
    """Regions without a query count nowhere: one query, four regions (stripes), one pair for each image."""
    step.student.queries = torch.nn.Parameter(step.student.queries[:1].detach())
    stripes = np.arange(32) % 4 == np.arange(4)[:, None, None]
    step.replace = lambda logits: 20 * torch.from_numpy(stripes).float().expand(4, 4, 32, 32)
    facts = mixed_facts(batch, step)
    chosen = []
    for i in range(4):
        targets = [(stripe & facts["valid"][i]).reshape(16, 2, 16, 2).mean((1, 3)) for stripe in stripes]
        probability = facts["classes"][i, :, 0]
        pairs = [probability[k] + dice_of(facts["masks"][i][0], targets[k]) for k in range(4)]
        chosen.append(-math.log(probability[int(np.argmax(pairs))]))
    losses = reference.values(make("rc2l").losses(batch, step))
    assert losses["rcc"] == pytest.approx(0.1 * sum(chosen) / 4, rel=1e-5)
    assert losses["rmc"] == pytest.approx(0, abs=1e-6), "nothing to contrast the only query with"


def test_it_needs_a_mask_head(make):
    assert make("rc2l").head == "mask" == make("supervised", head="mask").head
    assert make("rc2l").needs_teacher and not make("supervised").needs_teacher
