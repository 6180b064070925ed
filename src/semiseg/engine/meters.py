"""Losses between two lines of the log: kept on the device, read once per line."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.engine import distributed
from semiseg.errors import Diverged

NEVER = 2**31 - 1


class Meters:
    """Sums of named losses, and for each the first iteration at which it was not finite."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.sums: dict[str, Tensor] = {}
        self.first_bad: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, losses: dict[str, Tensor], iteration: int) -> None:
        for name, loss in losses.items():
            value = loss.detach().float()
            if name not in self.sums:
                self.sums[name] = torch.zeros((), device=self.device)
                self.first_bad[name] = torch.full((), NEVER, dtype=torch.int64, device=self.device)
            self.sums[name] += value
            bad = torch.where(torch.isfinite(value), NEVER, iteration)
            self.first_bad[name] = torch.minimum(self.first_bad[name], bad)

    def read(self) -> dict[str, float]:
        """Means since the last reading. The only place where training waits for the device."""
        names = list(self.sums)
        if not names:
            return {}
        packed = torch.stack([self.sums[name].double() for name in names] + [self.first_bad[n].double() for n in names])
        means = distributed.average(packed[: len(names)]).tolist()
        first_bad = packed[len(names) :].tolist()
        worst = min(first_bad)
        if worst < NEVER:
            name = names[first_bad.index(worst)]
            raise Diverged(
                f"the loss {name!r} became NaN or infinite at iteration {int(worst)}; lower the learning rate "
                "(recipe.optimiser.lr), set recipe.optimiser.clip, or use recipe.engine.precision: fp32"
            )
        result = {name: mean / max(self.steps, 1) for name, mean in zip(names, means, strict=True)}
        self.sums, self.first_bad, self.steps = {}, {}, 0
        return result

    def state(self) -> dict[str, object]:
        return {"sums": self.sums, "first_bad": self.first_bad, "steps": self.steps}

    def restore(self, state: dict[str, object]) -> None:
        self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}
        self.first_bad = {name: value.to(self.device) for name, value in state["first_bad"].items()}
        self.steps = state["steps"]
