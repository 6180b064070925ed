"""AdvSemiSeg calls its discriminator twice per step; losses and gradients equal those of four separate calls."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from semiseg.models.criteria import one_hot
from semiseg.models.parts import discriminators
from tests.methods.conftest import CLASSES, LABELLED, UNLABELLED


class Counted(nn.Module):
    """The paper's discriminator, which records the number of maps of each call."""

    def __init__(self, kind="fcn"):
        super().__init__()
        torch.manual_seed(0)
        self.network, self.calls = discriminators.build(kind, CLASSES, 4), []

    def forward(self, maps):
        self.calls.append(len(maps))
        return self.network(maps)


def in_four_calls(batch, step, options) -> tuple[dict, dict]:
    """The formulas with one call for each of L_adv (labelled, unlabelled) and L_D (fake, real)."""

    def mean(values, counted):
        return (values * counted).sum() / counted.sum()

    def binary(maps, truth, counted):
        verdict = step.auxiliary(maps)[:, 0]
        return mean(
            F.binary_cross_entropy_with_logits(verdict, torch.full_like(verdict, truth), reduction="none"), counted
        )

    known, output, logits = batch.label != 255, step.student(batch.image), step.student(batch.unlabelled).logits
    labelled, unlabelled = output.logits.softmax(1), logits.softmax(1)
    chosen = (step.auxiliary(unlabelled)[:, 0].sigmoid() > options.t_semi) & batch.valid
    students = {
        "supervised": step.supervised(output, batch.label),
        "adversarial": options.lambda_adv_labelled * binary(labelled, 1.0, known),
        "adversarial_unlabelled": options.lambda_adv_unlabelled * binary(unlabelled, 1.0, batch.valid),
        "semi": options.lambda_semi * mean(F.cross_entropy(logits, logits.argmax(1), reduction="none"), chosen),
    }
    players = {
        "discriminator_fake": 0.5 * binary(labelled.detach(), 0.0, known),
        "discriminator_real": 0.5 * binary(one_hot(batch.label, CLASSES), 1.0, known),
    }
    return students, players


def slopes(losses, module):
    module.zero_grad()
    sum(losses.values()).backward(retain_graph=True)
    return torch.cat([p.grad.flatten() if p.grad is not None else p.new_zeros(p.numel()) for p in module.parameters()])


@pytest.mark.parametrize("kind", ["fcn", "non_fcn"])
def test_losses_and_gradients_are_those_of_four_calls(batch, step, make, kind):
    step.auxiliary = Counted(kind)
    with torch.no_grad():
        verdicts = step.auxiliary(step.student(batch.unlabelled).logits.softmax(1)).sigmoid().unique()
    between = int(verdicts.diff().argmax())  # in the widest gap, so that rounding moves no pixel across
    options = {"lambda_adv_labelled": 0.5, "lambda_adv_unlabelled": 0.3}
    options["t_semi"] = float(verdicts[between : between + 2].mean())
    method = make("advsemiseg", **options)
    students, players = in_four_calls(batch, step, method.options)
    assert students["semi"] > 0
    step.auxiliary.calls.clear()
    found = method.losses(batch, step), method.auxiliary_losses(batch, step)
    assert step.auxiliary.calls == [LABELLED + UNLABELLED, 2 * LABELLED]
    for mine, theirs, module in zip(found, (students, players), (step.student, step.auxiliary), strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert abs(float(mine[name].detach() - theirs[name].detach())) < 1e-6, name
        assert torch.allclose(slopes(mine, module), slopes(theirs, module), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("options", "iteration"), [({"lambda_semi": 0.0}, 60), ({"semi_start": 0.7}, 60), ({}, 24)])
def test_where_l_semi_has_no_weight_nothing_is_chosen(batch, step, make, options, iteration):
    step.auxiliary, step.iteration = Counted(), iteration
    losses = make("advsemiseg", **options).losses(batch, step)
    assert losses["semi"] == 0 and not losses["semi"].requires_grad
    assert not step.seen, "no pseudo-label is asked for"
