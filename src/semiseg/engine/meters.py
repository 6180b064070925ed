"""Losses between two lines of the log: kept on the device, read once per line."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.base.errors import Diverged
from semiseg.hardware import distributed

NEVER = 2**62


class LossNotFinite(Diverged):
    """A loss became NaN or infinite; record.json stores the loss and the iteration."""

    def __init__(self, loss: str, iteration: int) -> None:
        self.details = {"loss": loss, "iteration": iteration}
        super().__init__(
            f"the loss {loss!r} became NaN or infinite at iteration {iteration}; lower the learning rate "
            "(recipe.optimiser.lr), set recipe.optimiser.clip, or use recipe.engine.precision: fp32"
        )


class Meters:
    """Named losses since the last line of the log; nothing is computed with them inside a step."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.losses: dict[str, list[Tensor]] = {}
        self.when: dict[str, list[int]] = {}
        self.steps = 0

    def add(self, losses: dict[str, Tensor], iteration: int) -> None:
        for name, loss in losses.items():
            self.losses.setdefault(name, []).append(loss.detach())
            self.when.setdefault(name, []).append(iteration)

    def read(self) -> dict[str, float]:
        """Means over the steps since the last reading, over all processes. Here training waits for the device."""
        if not self.losses:
            return {}
        result = {name: total / max(self.steps, 1) for name, total in zip(self.losses, self._sums(), strict=True)}
        self.losses, self.when, self.steps = {}, {}, 0
        return result

    def check(self) -> None:
        """Raise if a loss was not finite; no checkpoint is written after it."""
        if self.losses:
            self._sums()

    def _sums(self) -> list[float]:
        """Check the losses and return their sums, with one wait for the device and one collective operation."""
        sums = torch.stack([_stacked(values).sum() for values in self.losses.values()])
        averaged = distributed.average(sums).tolist()
        if not all(map(_is_finite, averaged)):
            self._complain()
        return averaged

    def _complain(self) -> None:
        firsts = [
            min((at for at, value in zip(self.when[name], values, strict=True) if not value.isfinite()), default=NEVER)
            for name, values in self.losses.items()
        ]
        earliest = distributed.smallest(torch.tensor(firsts, device=self.device)).tolist()
        first = min(earliest)
        raise LossNotFinite(list(self.losses)[earliest.index(first)], first)

    def state(self) -> dict[str, object]:
        losses = {name: _stacked(values) for name, values in self.losses.items()}
        return {"losses": losses, "when": self.when, "steps": self.steps}

    def restore(self, state: dict[str, object]) -> None:
        self.losses = {name: list(values.to(self.device)) for name, values in state["losses"].items()}
        self.when, self.steps = state["when"], state["steps"]


def _stacked(values: list[Tensor]) -> Tensor:
    return torch.stack([value.double() for value in values])


def _is_finite(value: float) -> bool:
    return value - value == 0
