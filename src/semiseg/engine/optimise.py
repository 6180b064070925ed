"""Optimisers and learning-rate schedules.

The rate is a pure function of the iteration, set before every step: there is no scheduler whose state a resumed run
could lose, and the rate after a resume is the rate without one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def build(networks: Iterable[nn.Module], settings: dict[str, Any], fused: bool) -> torch.optim.Optimizer:
    """One optimiser for all trained networks; heads get their own multiple of the rate."""
    networks = list(networks)
    groups = [
        {
            "params": [p for network in networks for p in network.encoder_parameters() if p.requires_grad],
            "multiple": 1.0,
        },
        {
            "params": [p for network in networks for p in network.head_parameters() if p.requires_grad],
            "multiple": settings["head_lr_multiplier"],
        },
    ]
    groups = [group for group in groups if group["params"]]
    common = {"lr": settings["lr"], "weight_decay": settings["weight_decay"], "fused": fused}
    if settings["name"] == "adamw":
        return torch.optim.AdamW(groups, **common)
    return torch.optim.SGD(groups, momentum=settings["momentum"], nesterov=settings["nesterov"], **common)


def factor(iteration: int, iterations: int, settings: dict[str, Any]) -> float:
    """What the base rate is multiplied with at an iteration (counted from 0)."""
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


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("multiple", 1.0)
