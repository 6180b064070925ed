"""Optimisers against torch.optim's classes, and learning rates as a pure function of the iteration."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from semiseg.engine import optimise
from tests import tiny
from tests.engine.conftest import gradients, losses_and_scores, train_steps

STEPS = 6


class TwoParts(nn.Module):
    """The interface of networks for the optimiser."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.head, self.idle = nn.Conv2d(2, 3, 3), nn.Linear(4, 2), nn.Linear(2, 2)

    def encoder_parameters(self):
        return self.encoder.parameters()

    def head_parameters(self):
        return [*self.head.parameters(), *self.idle.parameters()]  # no gradient ever reaches `idle`


def settings_of(name, **more):
    return {"name": name, "lr": 0.1, "weight_decay": 0.05, "momentum": 0.9, "nesterov": False,
            "head_lr_multiplier": 10.0} | more  # fmt: skip


def torch_optimiser(network, settings):
    used = [
        {"params": list(network.encoder.parameters())},
        {"params": list(network.head.parameters()), "head": True},
    ]
    if settings["name"] == "sgd":
        return torch.optim.SGD(used, lr=1.0, momentum=settings["momentum"], nesterov=settings["nesterov"],
                               weight_decay=settings["weight_decay"])  # fmt: skip
    return torch.optim.AdamW(used, lr=1.0, weight_decay=settings["weight_decay"], betas=settings.get("betas"))


def give_gradients(one, other, step):
    generator = torch.Generator().manual_seed(step)
    pairs = zip([*one.encoder.parameters(), *one.head.parameters()],
                [*other.encoder.parameters(), *other.head.parameters()], strict=True)  # fmt: skip
    for mine, theirs in pairs:
        mine.grad = torch.randn(mine.shape, generator=generator)
        theirs.grad = mine.grad.clone()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    "settings",
    [settings_of("sgd"), settings_of("sgd", nesterov=True, momentum=0.8), settings_of("sgd", weight_decay=0.0),
     settings_of("adamw", betas=(0.9, 0.999)), settings_of("adamw", betas=(0.8, 0.95), weight_decay=0.0)],
    ids=["sgd", "nesterov", "no decay", "adamw", "adam"],
)  # fmt: skip
def test_steps_are_those_of_torch(settings, fused):
    mine, theirs = TwoParts(), TwoParts()
    own, reference = optimise.build([mine], settings, fused), torch_optimiser(theirs, settings)
    before = mine.idle.weight.clone()
    for step in range(STEPS):
        give_gradients(mine, theirs, step)
        rate = settings["lr"] * optimise.factor(step, STEPS, {"schedule": "poly"})
        for group in reference.param_groups:
            group["lr"] = rate * (settings["head_lr_multiplier"] if group.get("head") else 1)
        own.step(rate)
        reference.step()
        for key, value in theirs.state_dict().items():
            assert torch.allclose(mine.state_dict()[key], value, rtol=1e-6, atol=1e-6), (step, key)
    assert torch.equal(mine.idle.weight, before), "without a gradient there is no step, not even weight decay"


def test_restored_state_goes_on_as_the_original():
    settings = settings_of("adamw")
    one, other = TwoParts(), TwoParts()
    own, restored = (optimise.build([network], settings, True) for network in (one, other))
    give_gradients(one, other, 0)
    own.step(0.1)
    other.load_state_dict(one.state_dict())
    restored.load_state_dict(own.state_dict())
    assert restored.lr == own.lr == 0.1
    give_gradients(one, other, 1)
    own.step(0.05)
    restored.step(0.05)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one.parameters(), other.parameters(), strict=True))


def test_second_player_has_adam_with_its_own_betas():
    mine, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(mine.state_dict())
    own = optimise.build_auxiliary(mine, (0.7, 0.9), True)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.7, 0.9))
    for step in range(3):
        for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=torch.Generator().manual_seed(step))
            other.grad = one.grad.clone()
        own.step(0.01)
        reference.step()
    assert torch.allclose(mine.weight, theirs.weight, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "iteration", "expected"),
    [
        ({"schedule": "poly", "power": 0.9}, 0, 1.0),
        ({"schedule": "poly", "power": 0.9}, 50, 0.5**0.9),
        ({"schedule": "poly", "power": 0.9}, 99, 0.01**0.9),
        ({"schedule": "cosine"}, 0, 1.0),
        ({"schedule": "cosine"}, 50, 0.5),
        ({"schedule": "cosine"}, 75, 0.5 * (1 - math.sqrt(0.5))),
        ({"schedule": "constant"}, 99, 1.0),
        ({"schedule": "cosine", "warmup": 20}, 0, 1 / 20),
        ({"schedule": "cosine", "warmup": 20}, 19, 1.0),
        ({"schedule": "cosine", "warmup": 20}, 20, 1.0),
        ({"schedule": "cosine", "warmup": 20}, 60, 0.5),
        ({"schedule": "poly", "power": 2.0, "warmup": 20}, 60, 0.25),
    ],
)
def test_factors(settings, iteration, expected):
    assert optimise.factor(iteration, 100, settings) == pytest.approx(expected)


def test_rate_after_a_resume_is_the_rate_without_one(trainer, prepared, tmp_path, monkeypatch):
    """Schedulers that wrap an optimiser lose it when its state is loaded; the log must not show that."""
    recipe = {"optimiser": {"name": "sgd", "lr": 0.02, "schedule": "poly", "warmup": 3}}
    content = tiny.params(splits={"partitions": [4]}, recipe=recipe, runtime={"log_every": 1, "checkpoint_every": 5})
    whole = trainer(content)
    rates = [line["lr"] for line in losses_and_scores(whole) if line["kind"] == "train"]
    expected = [0.02 * optimise.factor(i, 12, {"schedule": "poly", "power": 0.9, "warmup": 3}) for i in range(12)]
    assert rates == pytest.approx(expected)

    from semiseg.engine.train import Training

    step = Training.step

    def dies(self, batch):
        if self.iteration == 8 and not self.resumed:
            raise KeyboardInterrupt
        step(self, batch)

    monkeypatch.setattr(Training, "step", dies)
    with pytest.raises(SystemExit):
        trainer(content, "resumed")
    from tests.engine.conftest import start

    run = start()
    assert [line["lr"] for line in losses_and_scores(run) if line["kind"] == "train"] == rates
    assert losses_and_scores(run) == losses_and_scores(whole)


def test_clipping_bounds_the_norm_of_the_whole_gradient(build):
    """In proportion, so that the direction stays; a gradient below the bound is left alone."""
    optimiser = {"name": "sgd", "lr": 0.01, "schedule": "constant"}
    free = build(optimiser=optimiser, name="free")
    train_steps(free, 1)
    whole = gradients(free)
    norm = float(torch.stack([value.norm() for value in whole.values()]).norm())
    for bound in (norm / 7, 2 * norm):
        clipped = build(optimiser=optimiser | {"clip": bound}, name=f"clip{bound:g}")
        train_steps(clipped, 1)
        share = min(1.0, bound / norm)
        for key, value in gradients(clipped).items():
            assert torch.allclose(value, share * whole[key], rtol=1e-4, atol=1e-8), key
