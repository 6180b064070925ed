"""Every method passes pseudo-labels through `step.targets`, without gradient, and mixes them consistently in CutMix."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from semiseg.methods import Batch, names
from semiseg.methods._terms import Pseudo, partner
from semiseg.views import cutmix
from tests.methods import loop_reference as reference
from tests.methods.conftest import CLASSES, SIZE, UNLABELLED, NoGradient, StubNetwork, StubStep

# The paper's thresholds would select nothing of the stub networks' predictions.
U2PL = {"low_rank": 1, "memory": 40, "memory_first": 60, "representation": 8, "anchors": 12, "negatives": 5}
CORRMATCH = {"threshold": 0.45, "rows": 20, "width": 8}
OPTIONS = {
    "advsemiseg": [{}, {"t_semi": 0.0}],
    "augseg": [{"confidence": 0.5}],
    "corrmatch": [CORRMATCH, CORRMATCH | {"rows": 0, "soft_in_box": False}],
    "cps": [{}, {"cutmix": False}],
    "cutmix_seg": [{"confidence": 0.5}],
    "fixmatch": [{"confidence": 0.5}],
    "imas": [{"confidence": 0.5}, {"confidence": 0.5, "adaptive_cutmix": False}],
    "mean_teacher": [{"ramp_up": 0}],
    "rc2l": [{"confidence": 0.5}],
    "u2pl": [U2PL, U2PL | {"contrast": "code"}],
    "scl": [{"ramp_up": 0, "pixels": 64}, {"ramp_up": 0, "scope": "full", "mirror": False}],
    "st_plus_plus": [{}],
    "unimatch": [{"confidence": 0.5}],
    "unimatch_v2": [{"confidence": 0.5}, {"confidence": 0.5, "dropout": "independent"}],
}
OTHERS = sorted(set(names()) - {"supervised", *OPTIONS})  # methods that are new here, with their defaults
CASES = [(name, options) for name, cases in OPTIONS.items() for options in cases] + [(name, {}) for name in OTHERS]


@pytest.fixture
def full_step():
    step = StubStep()
    step.auxiliary = nn.Conv2d(CLASSES, 1, 3, padding=1)
    return step


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_prediction_that_teaches_passes_step_targets(batch, full_step, make, name, options):
    """If `step.targets` returns fixed predictions, the network that makes pseudo-labels does not matter."""
    if name == "rc2l":  # its features are compared with the student's, they label nothing
        options = {**options, "lambda_rfc": 0}
    method = make(name, **options)
    known = 20 * nn.functional.one_hot(torch.randint(CLASSES, (UNLABELLED, SIZE, SIZE)), CLASSES).permute(0, 3, 1, 2)
    full_step.replace = lambda logits: known.float()

    before = reference.values(method.losses(batch, full_step))
    if name in OTHERS and not full_step.seen:
        return  # it makes no pseudo-labels
    # Predictions for the pasted and for the receiving pixels, or of two networks; else one.
    assert len(full_step.seen) == {"corrmatch": 2, "cps": 2, "fixmatch": 2, "unimatch": 2}.get(name, 1)
    assert all(logits.shape == (UNLABELLED, CLASSES, SIZE, SIZE) for logits in full_step.seen)
    other, same = NoGradient(StubNetwork(77)), full_step.teacher
    full_step.teacher = other
    if name == "u2pl":  # its teacher's look at labelled and mixed images says how sure it is, and labels nothing
        full_step.teacher = lambda pixels: (other if len(pixels) == UNLABELLED else same)(pixels)
    # CPS without CutMix also takes labels from its predictions for labelled images: these do not pass `step.targets`.
    changed = {"cps": ["cross_first"] * options.get("cutmix", True)}.get(name, list(before))
    if name == "cps":
        full_step.second = StubNetwork(78)
    elif name != "imas":  # its student's predictions measure easiness, they label nothing
        full_step.student_eval = NoGradient(StubNetwork(79))
    after = reference.values(method.losses(batch, full_step))
    assert {key: after[key] for key in changed} == {key: before[key] for key in changed}

    full_step.replace = lambda logits: known.float().roll(1, 1)
    other = reference.values(method.losses(batch, full_step))
    assert other != after, "what `step.targets` returns has no effect"


@pytest.mark.parametrize(("name", "options"), CASES)
def test_no_gradient_flows_through_pseudo_labels(batch, full_step, make, name, options):
    probe = torch.zeros(1, CLASSES, 1, 1, requires_grad=True)
    full_step.replace = lambda logits: logits + probe
    sum(make(name, **options).losses(batch, full_step).values()).backward()
    assert probe.grad is None or not probe.grad.any()
    assert full_step.student.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("name", "options"), CASES)
def test_padding_teaches_nothing(batch, full_step, make, name, options):
    """Predictions on padded pixels have no effect."""
    if name == "imas":
        options = {**options, "confidence": 0}
    # One image is padded wherever the others are as well, so that pasting cannot bring other pixels there.
    valid = torch.ones_like(batch.valid)
    valid[:, 20:] = False
    padded = Batch(batch.image, batch.label, batch.unlabelled, valid, batch.given)
    method = make(name, **options)
    found = []
    for shift in (0, 1):

        def replace(logits, shift=shift):
            return torch.where(valid[:, None], logits, logits.detach().roll(shift, 1))

        full_step.replace = replace
        found.append(reference.values(method.losses(padded, full_step)))
    if name == "augseg":  # how sure an image is decides what it receives, and is a mean over all its pixels
        assert found[0]["supervised"] == found[1]["supervised"]
    else:
        assert found[0] == found[1]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_same_numbers_again(batch, full_step, make, name, options):
    """A step is a function of the weights and of the draws: a resumed training repeats it."""
    first, second = (reference.values(make(name, **options).losses(batch, full_step)) for _ in range(2))
    assert first == second


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for a GPU: reading a number, and shapes that depend on values."""

    FORBIDDEN = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert not str(function).startswith(self.FORBIDDEN), f"{function} waits for the device"
        if str(function).startswith(("aten.index.", "aten.index_put")):
            assert not any(x is not None and x.dtype == torch.bool for x in args[1]), "indexing by a mask waits"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_nothing_waits_for_the_device(batch, full_step, make, name, options):
    """The one exception is the Hungarian method of rc2l, whose copy to the host is no such operation."""
    method = make(name, **options)
    with NoWaiting():  # asserts at every operation
        losses = method.losses(batch, full_step) | method.auxiliary_losses(batch, full_step)
    assert losses and all(torch.isfinite(loss) for loss in losses.values())


@settings(max_examples=30, deadline=None)
@given(some.integers(0, 10_000), some.sampled_from(["unimatch_boxes", "fixed_area_boxes", "imas_boxes", "cps_boxes"]))
def test_cutmix_never_leaks_a_label_across_the_border(iteration, kind):
    """Where a mixed image shows image i, its label, confidence and validity are those of image i."""
    from semiseg.feed.draws import Draws

    step = StubStep(draws=Draws(1, iteration, range(UNLABELLED)))
    number = torch.arange(UNLABELLED).view(-1, 1, 1).expand(-1, SIZE, SIZE)
    own = Pseudo(number, number.double() / 10, number % 2 == 0)
    mask = cutmix.mask(getattr(cutmix, kind)(step.draws, "cutmix", (SIZE, SIZE)), (SIZE, SIZE))
    images = number[:, None].float().expand(-1, 3, -1, -1)
    shown = cutmix.paste(images, partner(images, step), mask)[:, 0]
    mixed = own.mixed(own.partner(step), mask)
    assert torch.equal(mixed.label, shown.long())
    assert torch.equal(mixed.confidence, shown.double() / 10)
    assert torch.equal(mixed.valid, shown % 2 == 0)
    assert torch.equal(shown != number, mask)


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"advsemiseg", "mean_teacher", "st_plus_plus"}))
def test_cutmix_needs_two_images(setting, name):
    from dataclasses import replace

    from semiseg.base.errors import UserError
    from semiseg.methods import load

    load(name).check(load(name).Options(), setting)
    with pytest.raises(UserError, match="1 unlabelled image goes through a step at once"):
        load(name).check(load(name).Options(), replace(setting, batch=1))
