"""The teacher: an exponential moving average of the student's parameters and batch-norm statistics."""

from __future__ import annotations

import copy

import torch
from torch import nn


def make_teacher(student: nn.Module) -> nn.Module:
    """A copy of the network that is not trained and always in eval mode."""
    return copy.deepcopy(student).requires_grad_(False).eval()


def decay_at(iteration: int, decay: float, warm_start: bool) -> float:
    """The decay; with a warm start it begins small: min(1 - 1/(iteration + 1), decay)."""
    return min(1 - 1 / (iteration + 1), decay) if warm_start else decay


class Average:
    """teacher <- decay * teacher + (1 - decay) * student, in a few kernels instead of one per tensor.

    The tensors are listed once: for a small network, walking through the modules takes longer than averaging.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module, foreach: bool) -> None:
        pairs = list(zip(_tensors(teacher), _tensors(student), strict=True))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        self.mine, self.theirs = [mine for mine, _ in floating], [theirs for _, theirs in floating]
        # Batch norm counts its batches: a count is copied, not averaged.
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        self.my_counts, self.their_counts = [mine for mine, _ in counts], [theirs for _, theirs in counts]
        self.foreach = foreach

    @torch.no_grad()
    def update(self, decay: float) -> None:
        if self.foreach:
            torch._foreach_lerp_(self.mine, self.theirs, 1 - decay)
            if self.my_counts:  # a network without batch norm has none
                torch._foreach_copy_(self.my_counts, self.their_counts)
        else:
            for mine, theirs in zip(self.mine, self.theirs, strict=True):
                mine.lerp_(theirs, 1 - decay)
            for mine, theirs in zip(self.my_counts, self.their_counts, strict=True):
                mine.copy_(theirs)


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]
