"""Optimisers and learning-rate schedules.

The kernels are those of torch.optim. Its classes are not used, because constructing one loads the whole compiler, which
takes three CPU-seconds per process. Schedules have no state: the rate is a function of the iteration, set before every
step, so a resumed run has the same rates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


class Optimiser:
    """Groups of parameters that share a factor on the learning rate; subclasses define the kernel and its state."""

    slots: tuple[str, ...]  # tensors kept per parameter

    def __init__(self, groups: list[tuple[list[nn.Parameter], float]], settings: dict[str, Any], fused: bool) -> None:
        self.settings, self.fused, self.lr = settings, fused, 0.0
        self.groups = [(params, multiple) for params, multiple in groups if params]
        self.state = [[self._fresh(parameter) for parameter in params] for params, _ in self.groups]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Update every parameter that has a gradient."""
        self.lr = lr
        for (params, multiple), state in zip(self.groups, self.state, strict=True):
            used = [position for position, parameter in enumerate(params) if parameter.grad is not None]
            if used:
                tensors = {slot: [state[position][slot] for position in used] for slot in self.slots}
                parameters = [params[position] for position in used]
                self._kernel(parameters, [parameter.grad for parameter in parameters], tensors, lr * multiple)

    def zero_grad(self) -> None:
        for params, _ in self.groups:
            for parameter in params:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {"lr": self.lr, "state": self.state}

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        self.lr = stored["lr"]
        for mine, theirs in zip(self.state, stored["state"], strict=True):
            for own, other in zip(mine, theirs, strict=True):
                for slot in self.slots:
                    own[slot].copy_(other[slot])

    def _fresh(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        return {slot: torch.zeros_like(parameter, memory_format=torch.preserve_format) for slot in self.slots}

    def _kernel(self, params: list, gradients: list, tensors: dict[str, list[Tensor]], lr: float) -> None:
        raise NotImplementedError


class SGD(Optimiser):
    slots = ("momentum",)

    def _kernel(self, params: list, gradients: list, tensors: dict[str, list[Tensor]], lr: float) -> None:
        # A buffer of zeros gives the first step of torch.optim.SGD: momentum * 0 + gradient.
        sgd(
            params,
            gradients,
            tensors["momentum"],
            foreach=False if self.fused else None,
            fused=self.fused,
            weight_decay=self.settings["weight_decay"],
            momentum=self.settings["momentum"],
            lr=lr,
            dampening=0.0,
            nesterov=self.settings["nesterov"],
            maximize=False,
        )


class AdamW(Optimiser):
    """With weight decay 0 this is Adam."""

    slots = ("mean", "square", "steps")

    def _fresh(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        steps = torch.zeros((), device=parameter.device if self.fused else "cpu")
        return super()._fresh(parameter) | {"steps": steps}

    def _kernel(self, params: list, gradients: list, tensors: dict[str, list[Tensor]], lr: float) -> None:
        beta1, beta2 = self.settings.get("betas", (0.9, 0.999))
        adamw(
            params,
            gradients,
            tensors["mean"],
            tensors["square"],
            [],
            tensors["steps"],
            foreach=False if self.fused else None,
            fused=self.fused,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=lr,
            weight_decay=self.settings["weight_decay"],
            eps=1e-8,
            maximize=False,
        )


def build(networks: Iterable[nn.Module], settings: dict[str, Any], fused: bool) -> Optimiser:
    """One optimiser for all trained networks; heads have a separate factor on the rate."""
    networks = list(networks)
    encoders = [parameter for network in networks for parameter in network.encoder_parameters()]
    heads = [parameter for network in networks for parameter in network.head_parameters()]
    kind = {"adamw": AdamW, "sgd": SGD}[settings["name"]]
    return kind([(encoders, 1.0), (heads, settings["head_lr_multiplier"])], settings, fused)


def build_auxiliary(player: nn.Module, betas: tuple[float, float], fused: bool) -> Optimiser:
    """Adam, for the discriminator."""
    return AdamW([(list(player.parameters()), 1.0)], {"betas": betas, "weight_decay": 0.0}, fused)


def factor(iteration: int, iterations: int, settings: dict[str, Any]) -> float:
    """The factor on the base rate at an iteration (counted from 0).

    Warm-up is (k+1)/w, so that no iteration has rate 0, and the decay begins after it. CPS's code uses k/w and decays
    from iteration 0 on. Without warm-up the rate is that of the papers, (1 - k/n)^power. UniMatch's code sets the rate
    after the step, so its iterations 0 and 1 share the base rate and all later iterations lag by one.
    """
    warmup = settings.get("warmup", 0)
    if iteration < warmup:
        return (iteration + 1) / warmup
    progress = (iteration - warmup) / max(iterations - warmup, 1)
    match settings.get("schedule", "poly"):
        case "poly":
            return (1 - progress) ** settings.get("power", 0.9)
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case _:
            return 1.0
