"""Labelled images alone: the baseline of every comparison, and the `all labels` row above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from semiseg.methods.method import Batch, Method, MethodOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class Supervised(Method):
    uses_unlabelled = False

    class Options(MethodOptions):
        # `mask` is the baseline of rc2l: methods are compared with a baseline of the same head only
        head: Literal["pixel", "mask"] = "pixel"

    @property
    def head(self) -> Literal["pixel", "mask"]:
        return self.options.head

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"supervised": step.supervised(step.student(batch.image), batch.label)}
