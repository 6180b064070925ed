"""U2PL against its formulas: float64, lists and loops, with the memory as lists that grow and are cut."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from semiseg.base.errors import UserError
from semiseg.methods import Setting, load
from semiseg.models import class_memory
from semiseg.views import cutmix
from tests.methods import loop_reference as reference
from tests.methods.conftest import CLASSES, LABELLED, UNLABELLED, NoGradient, StubNetwork, StubStep, owned_modules

OPTIONS = {
    "low_rank": 1, "high_rank": 3, "memory": 40, "memory_first": 60, "representation": 8, "anchors": 12,
    "negatives": 5, "cutmix_probability": 1.0, "alpha": 40.0, "delta_p": 0.5,
}  # fmt: skip
SIZE = 16


class Coarse(StubNetwork):
    """Features at half the size of the image, as the decoders have them."""

    def decode(self, features, size):
        output = super().decode(features, size)
        output.features = nn.functional.avg_pool2d(output.features, 2)
        return output


@pytest.fixture
def step():
    # Teacher and student differ in what they are sure of; the memory is kept from call to call.
    return StubStep(student=Coarse(1), teacher=NoGradient(Coarse(3)))


def entropy(probabilities):
    result = np.empty((len(probabilities), *probabilities.shape[2:]))
    for i, y, x in np.ndindex(result.shape):
        result[i, y, x] = -sum(p * math.log(p + 1e-10) for p in probabilities[i, :, y, x])
    return result


def exactly(network, pixels):
    """Logits and features in float64."""
    with torch.no_grad():
        output = copy.deepcopy(network).double()(pixels.double())
    return output.logits.numpy(), output.features


def vectors_of(modules, features):
    with torch.no_grad():
        return copy.deepcopy(modules).double()["representation"](features).numpy()


def cosine(a, b):
    return float(a @ b) / (math.sqrt(a @ a) * math.sqrt(b @ b))


class Reference:
    """A sequence of steps with a separate memory."""

    def __init__(self, method, options):
        self.o = {**method.options.model_dump(), **options}
        self.memory = [[] for _ in range(CLASSES)]
        self.skipped = self.learnt = 0

    def losses(self, batch, step):
        o, alpha = self.o, self.o["alpha"] * (1 - step.iteration / step.iterations)
        mixed, label, valid = self.mix(batch, step)
        images = torch.cat([batch.image, mixed])
        student, features = exactly(step.student, images)
        teacher, teacher_features = exactly(step.teacher.network, images)
        unsure = entropy(reference.probabilities(teacher[LABELLED:]))
        low, high = (np.percentile(unsure[valid], at) for at in (alpha, 100 - alpha))
        kept = valid & (unsure < high)
        mean = reference.cross_entropy(student[LABELLED:], label, kept, kept.sum())
        labels = np.concatenate([batch.label.numpy(), np.where(valid, label, 255)])
        known = batch.label.numpy() != 255
        reliable = np.concatenate([known, valid & (unsure <= low)])
        unreliable = np.concatenate([known, valid & (unsure >= high)])
        coarse = nn.functional.interpolate(torch.from_numpy(teacher), (SIZE, SIZE), mode="bilinear", align_corners=True)
        contrast = self.contrast(
            *(x[:, ::2, ::2] for x in (labels, reliable, unreliable)),
            reference.probabilities(coarse.numpy()),
            vectors_of(step.modules, features),
            vectors_of(step.teacher_modules, teacher_features),
            step,
        )
        return {
            "supervised": reference.supervised(student[:LABELLED], batch.label.numpy()),
            "unlabelled": o["lambda_unlabelled"] * kept.size / kept.sum() * mean,
            "contrast": o["lambda_contrast"] * contrast,
        }

    def mix(self, batch, step):
        label, _ = reference.best(reference.probabilities(exactly(step.teacher.network, batch.unlabelled)[0]))
        valid = batch.valid.numpy()
        if self.o["cutmix_probability"] == 0:
            return batch.unlabelled, label, valid
        boxes = cutmix.half_boxes(step.draws, "cutmix", (32, 32))
        label, valid = (reference.pasted(x, reference.before(x), boxes) for x in (label, valid))
        pixels = reference.pasted(batch.unlabelled.numpy(), reference.before(batch.unlabelled.numpy()), boxes)
        return torch.from_numpy(pixels), label, valid

    def contrast(self, label, reliable, unreliable, probabilities, vectors, keys, step):
        o = self.o
        positive, anchor = ([[] for _ in range(CLASSES)] for _ in range(2))
        for i, y, x in np.ndindex(label.shape):
            p = probabilities[i, :, y, x]
            order = sorted(range(CLASSES), key=lambda c: -p[c])
            for c in range(CLASSES):
                rank, is_class = order.index(c), label[i, y, x] == c
                if is_class and reliable[i, y, x]:
                    positive[c].append(keys[i, :, y, x])
                    if p[c] > o["delta_p"]:
                        anchor[c].append(vectors[i, :, y, x])
                confused = not is_class and rank < o["low_rank"]
                if i >= LABELLED:
                    confused = o["low_rank"] <= rank < o["high_rank"]
                if o["contrast"] == "code":
                    confused = confused and is_class
                if confused and unreliable[i, y, x]:
                    self.memory[c].append(keys[i, :, y, x])
        self.memory = [one[-o["memory_first" if c == 0 else "memory"] :] for c, one in enumerate(self.memory)]
        occurring = [c for c in range(CLASSES) if positive[c]]
        if len(occurring) < 2:
            return 0.0
        shares = step.draws.shared("contrast", CLASSES * o["anchors"] * (1 + o["negatives"]))
        shares = shares.reshape(CLASSES, o["anchors"], 1 + o["negatives"])
        total = 0.0
        for place, c in enumerate(occurring):
            own = place if o["contrast"] == "code" else c
            if not anchor[own] or not self.memory[c]:
                self.skipped += 1
                continue
            self.learnt += 1
            centre = sum(positive[own]) / len(positive[own])
            for first, *rest in shares[c]:
                z = anchor[own][int(first * len(anchor[own]))]
                others = [self.memory[c][int(one * len(self.memory[c]))] for one in rest]
                scores = [cosine(z, one) / o["temperature"] for one in (centre, *others)]
                total += (math.log(sum(map(math.exp, scores))) - scores[0]) / o["anchors"]
        return total / len(occurring)


@pytest.mark.parametrize("changes", [
    {}, {"contrast": "code"}, {"cutmix_probability": 0.0, "lambda_contrast": 1.0, "lambda_unlabelled": 0.5},
    {"contrast": "code", "high_rank": 4, "temperature": 0.2}, {"low_rank": 2, "delta_p": 0.7},
], ids=str)  # fmt: skip
def test_losses_of_three_steps(batch, step, make, changes):
    method = make("u2pl", **OPTIONS | changes)
    step.buffers = method.buffers()
    loops = Reference(method, OPTIONS | changes)
    for iteration in (20, 60, 90):
        step.iteration = iteration
        found = reference.values(method.losses(batch, step))
        assert found == pytest.approx(loops.losses(batch, step), rel=1e-4)
        held = [
            min(int(seen), int(size)) for seen, size in zip(step.buffers["seen"], step.buffers["size"], strict=True)
        ]
        assert held == [len(one) for one in loops.memory]
    assert loops.learnt > 0


def test_a_class_that_does_not_occur_moves_the_others_anchors_only_in_the_code(batch, step, make):
    """Issue 111 of the official repository: the i-th class that occurs is contrasted as class i."""
    batch.label[batch.label == 1] = 255
    step.replace = lambda logits: logits.index_fill(1, torch.tensor([1]), -99.0)
    step.teacher.network.head.bias.data[1] = -99.0
    for contrast, skips in (("paper", False), ("code", True)):
        method = make("u2pl", **OPTIONS | {"contrast": contrast, "high_rank": 4})
        step.buffers, loops = method.buffers(), Reference(method, OPTIONS | {"contrast": contrast, "high_rank": 4})
        for iteration in (10, 20):
            step.iteration = iteration
            found = reference.values(method.losses(batch, step))
            assert found == pytest.approx(loops.losses(batch, step), rel=1e-4)
        assert (loops.skipped > 0) == skips


def test_one_class_alone_has_nothing_to_be_contrasted_with(batch, step, make):
    batch.label[:] = 2
    step.replace = lambda logits: (
        99.0 * nn.functional.one_hot(torch.full_like(logits[:, 0], 2).long(), CLASSES).movedim(3, 1)
    )
    assert not make("u2pl", **OPTIONS).losses(batch, step)["contrast"].any()


def test_nothing_reaches_teacher_and_memory(batch, step, make):
    """Thresholds, ranks, labels, positives and negatives have no gradient, even if the teacher's outputs have."""
    step.teacher = step.teacher.network
    method = make("u2pl", **OPTIONS)
    step.buffers = method.buffers()
    losses = method.losses(batch, step)
    assert losses["contrast"] > 0 and not any(buffer.requires_grad for buffer in step.buffers.values())
    sum(losses.values()).backward()
    for module in (step.teacher, step.teacher_modules):
        assert all(parameter.grad is None for parameter in module.parameters())
    for module in (step.student.head, step.modules):
        assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters() if parameter.dim() > 1)


def test_the_contrast_teaches_the_representation_of_the_student(batch, step, make):
    make("u2pl", **OPTIONS).losses(batch, step)["contrast"].backward()
    assert step.student.fine.weight.grad.abs().sum() > 0 and step.student.head.weight.grad is None


def test_the_first_share_of_the_training_is_supervised(batch, step, make):
    method = make("u2pl", **OPTIONS | {"supervised_share": 0.25})
    names = []
    for iteration in (24, 25):
        step.iteration = iteration
        names.append(set(method.losses(batch, step)))
    assert names == [{"supervised"}, {"supervised", "unlabelled", "contrast"}]
    assert len(step.seen) == 1


def test_half_of_the_batches_are_mixed(batch, step, make, monkeypatch):
    mixed = []
    monkeypatch.setattr(cutmix, "paste", lambda base, donor, box: mixed.append(1) or base)
    from semiseg.feed.draws import Draws

    for iteration in range(60):
        step.draws = Draws(11, iteration, range(UNLABELLED))
        make("u2pl", **OPTIONS | {"cutmix_probability": 0.5})._mix(batch, step)
    assert 20 <= len(mixed) <= 40


def test_confident_pixels_are_those_that_were_kept(batch, step, make):
    method = make("u2pl", **OPTIONS | {"cutmix_probability": 0.0})
    step.buffers = method.buffers()
    method.losses(batch, step)
    logits = step.teacher(batch.unlabelled).logits
    chosen = method.confident(logits, None, step.buffers)
    alpha = OPTIONS["alpha"] * 0.4
    assert chosen[batch.valid].float().mean() == pytest.approx(1 - alpha / 100, abs=0.01)


def test_a_memory_larger_than_what_there_is():
    kind, setting = load("u2pl"), Setting(iterations=10, crop=(32, 32), batch=4, classes=CLASSES)
    kind.check(kind.Options(memory=40_960, memory_first=40_960), setting)
    with pytest.raises(UserError, match="memory, memory_first: give at most 40960 .*, not 40961"):
        kind.check(kind.Options(memory=40_961, memory_first=1), setting)
    with pytest.raises(UserError, match="not 50000"):
        kind.check(kind.Options(memory=1), setting)


def test_one_ring_for_each_class(setting):
    kind = load("u2pl")
    buffers = kind(kind.Options(memory=7, memory_first=9, representation=5), setting).buffers()
    assert buffers["memory"].shape == (9 + 3 * 7, 5) and buffers["size"].tolist() == [9, 7, 7, 7]
    modules = owned_modules(kind(kind.Options(representation=5), setting), 0)
    assert modules["representation"](torch.zeros(2, 11, 8, 8)).shape == (2, 5, 8, 8)


def test_pixels_without_a_label_are_no_negatives(batch, step, make, monkeypatch):
    """Ignored pixels of labelled images have no class, and would otherwise be of another one than every class."""
    masks, seen = class_memory.masks, []
    monkeypatch.setattr(class_memory, "masks", lambda *arguments: seen.append(masks(*arguments)) or seen[0])
    make("u2pl", **OPTIONS).losses(batch, step)
    ignored = nn.functional.interpolate(batch.label[:, None].float(), (SIZE, SIZE))[:, 0] == 255
    negative = seen[0][2][:LABELLED].any(1)
    assert ignored.any() and negative[~ignored].any() and not negative[ignored].any()
