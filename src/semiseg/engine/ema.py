"""The teacher: an exponential moving average of the student, parameters and batch-norm statistics alike."""

from __future__ import annotations

import copy

import torch
from torch import nn


def make_teacher(student: nn.Module) -> nn.Module:
    """A copy that is never trained and always in eval mode."""
    return copy.deepcopy(student).requires_grad_(False).eval()


def decay_at(iteration: int, decay: float, warm_start: bool) -> float:
    """With a warm start the first averages forget quickly: min(1 - 1/(iteration + 1), decay)."""
    return min(1 - 1 / (iteration + 1), decay) if warm_start else decay


@torch.no_grad()
def update(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """teacher <- decay * teacher + (1 - decay) * student, in a handful of kernels instead of one per tensor."""
    pairs = list(zip(_tensors(teacher), _tensors(student), strict=True))
    averaged = [(mine, theirs) for mine, theirs in pairs if mine.is_floating_point()]
    torch._foreach_lerp_([mine for mine, _ in averaged], [theirs for _, theirs in averaged], 1 - decay)
    for mine, theirs in pairs:
        if not mine.is_floating_point():  # batch norm counts its batches
            mine.copy_(theirs)


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]
