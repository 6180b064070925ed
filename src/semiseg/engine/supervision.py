"""The recipe's criterion on labelled images, the same for every method."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from semiseg.hardware.distributed import gather, global_mean
from semiseg.models import criteria
from semiseg.models.outputs import Output


def make_criterion(settings: dict[str, Any]) -> Callable[[Output, Tensor], Tensor]:
    """Pixel heads: the chosen loss, plus the weighted auxiliary head. Mask heads: MaskFormer's set loss."""
    loss = partial(_pixel_loss(settings), mean=global_mean)

    def criterion(output: Output, label: Tensor) -> Tensor:
        if output.regions is not None:
            from semiseg.models.mask_criterion import mask_classification

            return mask_classification(output.regions, label, mean=global_mean)
        total = loss(output.logits, label)
        if output.auxiliary is not None:
            total = total + settings["auxiliary_weight"] * loss(output.auxiliary, label)
        return total

    return criterion


def _pixel_loss(settings: dict[str, Any]) -> Callable[..., Tensor]:
    match settings["name"]:
        case "ohem":
            return partial(criteria.ohem, thresh=settings["threshold"], min_kept=settings["min_kept"], gather=gather)
        case "boundary_relaxed":
            return criteria.boundary_relaxed
        case _:
            return criteria.cross_entropy
