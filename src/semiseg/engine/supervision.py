"""The recipe's criterion on labelled images, the same for every method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semiseg.base.errors import UserError
from semiseg.base.explain import nearest
from semiseg.hardware.distributed import gather, global_mean, global_sum
from semiseg.models import criteria
from semiseg.models.outputs import Output


def make_criterion(settings: dict[str, Any], weights: Tensor | None = None) -> Callable[[Output, Tensor], Tensor]:
    """Pixel heads: the chosen loss plus that of the auxiliary head. Mask heads: MaskFormer's set loss."""
    pixel_loss = partial(_pixel_loss(settings), mean=global_mean, weights=weights)

    def loss(logits: Tensor, label: Tensor) -> Tensor:
        found = pixel_loss(logits, label)
        if settings["dice"]:
            found = found + settings["dice"] * criteria.soft_dice(logits, label, total=global_sum)
        return found

    def criterion(output: Output, label: Tensor) -> Tensor:
        if output.regions is not None:
            from semiseg.models.mask_criterion import mask_classification

            return mask_classification(output.regions, label, mean=global_mean)
        total = loss(output.logits, label)
        if output.auxiliary is not None:
            total = total + settings["auxiliary_weight"] * loss(output.auxiliary, label)
        return total

    return criterion


def class_weights(
    chosen: str | dict[str, float], classes: Sequence[str], labels: Iterable[np.ndarray], device: torch.device
) -> Tensor | None:
    """The weight of each class in the loss; `labels` are the visible labels, read only if they are counted."""
    if chosen == "none":
        return None
    if chosen == "balanced":
        counts = sum((np.bincount(label.ravel(), minlength=256) for label in labels), np.zeros(256, np.int64))
        return criteria.class_weights(torch.from_numpy(counts[: len(classes)])).to(device)
    for name in chosen:
        if name not in classes:
            raise UserError(f"recipe.criterion.class_weights: there is no class {name!r}{nearest(name, classes)}")
    return torch.tensor([chosen.get(name, 1.0) for name in classes], device=device)


def _pixel_loss(settings: dict[str, Any]) -> Callable[..., Tensor]:
    match settings["name"]:
        case "ohem":
            return partial(criteria.ohem, thresh=settings["threshold"], min_kept=settings["min_kept"], gather=gather)
        case "boundary_relaxed":
            return criteria.boundary_relaxed
        case _:
            return criteria.cross_entropy
