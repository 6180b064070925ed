"""AdvSemiSeg against its formulas, pixel by pixel in float64."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import nn

from semiseg.base.errors import UserError
from semiseg.methods import Batch, Setting, load
from tests.methods import loop_reference as reference


class StubDiscriminator(nn.Module):
    """Logits that spread well to both sides of every threshold."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.layer = nn.Conv2d(4, 1, 3, padding=1)
        self.layer.weight.data *= 8

    def forward(self, probabilities):
        return self.layer(probabilities)

    def exact(self, probabilities: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return copy.deepcopy(self).double()(torch.from_numpy(probabilities)).numpy()[:, 0]


@pytest.fixture
def adversarial_step(step):
    step.auxiliary = StubDiscriminator()
    return step


def binary(verdicts, truth, counted):
    """Mean of -log sigmoid(D) or -log(1 - sigmoid(D)) over the counted pixels."""
    total = 0.0
    for place in np.ndindex(counted.shape):
        if counted[place]:
            confidence = 1 / (1 + math.exp(-verdicts[place]))
            total -= math.log(confidence if truth else 1 - confidence)
    return total / counted.sum()


@pytest.fixture
def facts(batch, adversarial_step):
    """The inputs of the reference implementations."""
    logits = adversarial_step.student.exact(batch.unlabelled)
    labelled = adversarial_step.student.exact(batch.image)
    return {
        "logits": logits,
        "verdicts": adversarial_step.auxiliary.exact(reference.probabilities(logits)),
        "labelled": labelled,
        "labelled_verdicts": adversarial_step.auxiliary.exact(reference.probabilities(labelled)),
        "known": batch.label.numpy() != 255,
        "valid": batch.valid.numpy(),
    }


def test_losses_of_the_segmentation_network(batch, adversarial_step, make, facts):
    losses = make("advsemiseg").losses(batch, adversarial_step)
    chosen = (1 / (1 + np.exp(-facts["verdicts"])) > 0.2) & facts["valid"]
    assert 0.05 < chosen.mean() < 0.95
    semi = reference.cross_entropy(facts["logits"], facts["logits"].argmax(1), chosen, chosen.sum())
    expected = {
        "supervised": reference.supervised(facts["labelled"], batch.label.numpy()),
        "adversarial": 0.01 * binary(facts["labelled_verdicts"], True, facts["known"]),
        "adversarial_unlabelled": 0.001 * binary(facts["verdicts"], True, facts["valid"]),
        "semi": 0.1 * semi,
    }
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("unlabelled", "smooth"), [(False, 0.0), (True, 0.0), (False, 0.2)])
def test_losses_of_the_discriminator(batch, adversarial_step, make, facts, unlabelled, smooth):
    method = make("advsemiseg", discriminate_unlabelled=unlabelled, smooth_truth=smooth)
    method.losses(batch, adversarial_step)
    losses = method.auxiliary_losses(batch, adversarial_step)
    verdicts, counted = facts["labelled_verdicts"], facts["known"]
    if unlabelled:
        verdicts = np.concatenate([verdicts, facts["verdicts"]])
        counted = np.concatenate([counted, facts["valid"]])
    onehot = np.zeros_like(facts["labelled"])
    for i, y, x in np.ndindex(batch.label.shape):
        if batch.label[i, y, x] != 255:
            onehot[i, batch.label[i, y, x], y, x] = 1
    onehot = (1 - smooth) * onehot + smooth / onehot.shape[1]
    expected = {
        "discriminator_fake": 0.5 * binary(verdicts, False, counted),
        "discriminator_real": 0.5 * binary(adversarial_step.auxiliary.exact(onehot), True, facts["known"]),
    }
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_does_not_teach_the_student(batch, adversarial_step, make):
    method = make("advsemiseg", discriminate_unlabelled=True)
    method.losses(batch, adversarial_step)
    sum(method.auxiliary_losses(batch, adversarial_step).values()).backward()
    assert all(parameter.grad is None for parameter in adversarial_step.student.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in adversarial_step.auxiliary.parameters())


def test_mask_and_pseudo_label_are_constants(batch, adversarial_step, make, facts):
    """The gradient of L_semi is that of cross-entropy with a given mask: nothing reaches the discriminator."""
    losses = make("advsemiseg", lambda_adv_unlabelled=0, lambda_adv_labelled=0).losses(batch, adversarial_step)
    losses["semi"].backward()
    assert all(not p.grad.any() for p in adversarial_step.auxiliary.parameters() if p.grad is not None)
    found = adversarial_step.student.head.weight.grad.clone()

    adversarial_step.student.zero_grad()
    chosen = torch.from_numpy((1 / (1 + np.exp(-facts["verdicts"])) > 0.2) & facts["valid"])
    label = torch.from_numpy(facts["logits"].argmax(1))
    values = nn.functional.cross_entropy(adversarial_step.student(batch.unlabelled).logits, label, reduction="none")
    (0.1 * values[chosen].mean()).backward()
    assert torch.allclose(found, adversarial_step.student.head.weight.grad, rtol=1e-4, atol=1e-6)


@given(some.lists(some.floats(-1e4, 1e4, width=32), min_size=1, max_size=20))
def test_threshold_one_selects_nothing_and_zero_everything(verdicts):
    verdict = torch.tensor(verdicts).view(1, 1, 1, -1)
    kind = load("advsemiseg")
    setting = Setting(iterations=10, crop=(32, 32), batch=2, classes=4)

    def chosen(t):
        return kind(kind.Options(t_semi=t), setting).confident(torch.zeros(1, 4, 1, 1), lambda _: verdict)

    assert not chosen(1.0).any()
    assert chosen(0.0).all()
    assert torch.equal(chosen(0.5), verdict[:, 0] > 0)


def test_threshold_one_is_the_adversarial_loss_alone(batch, adversarial_step, make):
    gradients = []
    for options in ({"t_semi": 1.0}, load("advsemiseg").variant_names["adv"]):
        adversarial_step.student.zero_grad()
        losses = make("advsemiseg", **options).losses(batch, adversarial_step)
        assert not losses["semi"].any()
        sum(losses.values()).backward()
        gradients.append([parameter.grad for parameter in adversarial_step.student.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)


def test_semi_starts_at_its_share_of_the_training(batch, adversarial_step, make):
    method = make("advsemiseg", semi_start=0.25)
    started = []
    for iteration in (24, 25):
        adversarial_step.iteration = iteration
        started.append(reference.values(method.losses(batch, adversarial_step))["semi"] > 0)
    assert started == [False, True]


def test_an_empty_mask_drops_the_adversarial_loss_only_on_request(batch, adversarial_step, make):
    def adversarial(**options):
        losses = make("advsemiseg", **options).losses(batch, adversarial_step)
        return reference.values(losses)["adversarial_unlabelled"]

    assert adversarial(t_semi=1.0) > 0
    assert adversarial(t_semi=1.0, drop_adv_with_empty_mask=True) == 0
    assert adversarial(drop_adv_with_empty_mask=True) == adversarial()


def test_nothing_labelled_is_zero_and_not_nan(batch, adversarial_step, make):
    ignored = Batch(batch.image, torch.full_like(batch.label, 255), batch.unlabelled, batch.valid)
    method = make("advsemiseg")
    adversarial = method.losses(ignored, adversarial_step)["adversarial"]
    losses = method.auxiliary_losses(ignored, adversarial_step)
    assert not adversarial.any() and not any(loss.any() for loss in losses.values())


def test_without_unlabelled_images_there_is_the_adversarial_loss(batch, adversarial_step, make):
    method = make("advsemiseg", lambda_semi=0)
    losses = method.losses(Batch(batch.image, batch.label), adversarial_step)
    assert set(losses) == {"supervised", "adversarial"}
    assert set(method.auxiliary_losses(batch, adversarial_step)) == {"discriminator_fake", "discriminator_real"}
    kind = load("advsemiseg")
    assert kind.needs_unlabelled(kind.Options()) and not kind.needs_unlabelled(kind.Options(lambda_semi=0))


@pytest.mark.parametrize("kind", ["fcn", "non_fcn"])
def test_discriminators(make, kind):
    verdict = make("advsemiseg", discriminator=kind, width_d=4).auxiliary()(torch.rand(2, 4, 64, 48).softmax(1))
    assert verdict.shape == (2, 1, 64, 48)
    assert (verdict.flatten(2).std(2) == 0).all() == (kind == "non_fcn")


def test_a_start_beyond_the_training_is_refused(setting):
    kind = load("advsemiseg")
    with pytest.raises(UserError, match="semi_start: 1.5 .* iteration 150 of 100"):
        kind.check(kind.Options(semi_start=1.5), setting)
