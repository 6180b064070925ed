"""`recipe.batch_norm`: whether the labelled images share batch norm's statistics with unlabelled ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from semiseg.methods import names
from tests.methods.conftest import CLASSES, LABELLED, StubNetwork, StubStep

CASES = [(name, {}) for name in names() if name != "supervised"]
CASES += [("supervised", {"bn": True}), ("supervised", {"bn": True, "strong": True}), ("cps", {"cutmix": False})]


class NormalisedNetwork(StubNetwork):
    """A network that starts with batch norm and records its means in training mode."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.norm = nn.BatchNorm2d(3)
        self.seen: list[torch.Tensor] = []

    def encode(self, pixels):
        self.seen.append(pixels.mean((0, 2, 3)))
        return super().encode(128 + 64 * self.norm(pixels))


@pytest.fixture
def normalised():
    step = StubStep()
    step.student, step.second = NormalisedNetwork(1), NormalisedNetwork(2)
    step.auxiliary = nn.Conv2d(CLASSES, 1, 3, padding=1)
    return step


def supervised_loss(losses: dict[str, torch.Tensor]) -> float:
    return sum(float(loss.detach()) for name, loss in losses.items() if name.startswith("supervised"))


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_labelled_images_share_their_statistics_or_do_not(name, options, joint, batch, normalised, make):
    """With `separate`, unlabelled images do not affect the loss of labelled images."""
    normalised.joint = joint
    method = make(name, **options)
    darker = replace(batch, unlabelled=0.5 * batch.unlabelled)
    before, after = (supervised_loss(method.losses(images, normalised)) for images in (batch, darker))
    assert (before != after) == joint


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_pass_sees_the_labelled_images_alone_only_where_they_are_separate(
    name, options, joint, batch, normalised, make
):
    normalised.joint = joint
    make(name, **options).losses(batch, normalised)
    own = batch.image.mean((0, 2, 3))
    alone = [torch.allclose(mean, own) for mean in normalised.student.seen]
    assert sum(alone) == (0 if joint else 1)


def test_bn_gives_unlabelled_images_to_the_statistics_and_to_nothing_else(batch, normalised, make):
    method = make("supervised", bn=True)
    normalised.joint = False
    losses = method.losses(batch, normalised)
    assert list(losses) == ["supervised"]
    norm = normalised.student.norm
    expected = 0.1 * batch.image.mean((0, 2, 3))
    expected = 0.9 * expected + 0.1 * batch.unlabelled.mean((0, 2, 3))
    assert torch.allclose(norm.running_mean, expected)
    losses["supervised"].backward()
    plain = StubStep(student=NormalisedNetwork(1))
    make("supervised").losses(batch, plain)["supervised"].backward()
    assert torch.equal(plain.student.head.weight.grad, normalised.student.head.weight.grad)
    assert len(plain.student.seen) == 1 and int(plain.student.norm.num_batches_tracked) == 1


def test_strong_pastes_labelled_images_with_their_labels(batch, step, make):
    """Pasted pixels have the label of their own image."""
    shown = []
    number = torch.arange(LABELLED, dtype=torch.float32).view(-1, 1, 1, 1)
    label = number[:, 0].long().expand(-1, *batch.label.shape[1:]).contiguous()
    images = (50 * number).expand(-1, 3, *batch.label.shape[1:]).contiguous()
    step.supervised = lambda output, label: shown.append((output, label)) or torch.zeros(())
    step.student = lambda pixels: pixels
    method = make("supervised", strong=True, cutmix_probability=1.0)
    method.setting = replace(method.setting, strength=0.0)
    method.losses(replace(batch, image=images, label=label), step)
    (weak, plain), (mixed, pasted) = shown
    assert torch.equal(weak, images) and torch.equal(plain, label)
    assert torch.equal((mixed[:, 0] / 50).round().long(), pasted)
    assert 0.01 < float((pasted != label).float().mean()) < 0.5
    assert method.reports == "teacher" and make("supervised").reports == "student"
