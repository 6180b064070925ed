"""Quality of a method's pseudo-labels, measured with the hidden labels that training never reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.base.labels import IGNORE
from semiseg.hardware import distributed
from semiseg.methods.method import Method
from semiseg.models.student import Student
from semiseg.scoring import borders
from semiseg.scoring.confusion import confusion_matrices
from semiseg.scoring.evaluator import Evaluator

AFFECTS_RESULTS = False


@torch.inference_mode()
def pseudo_labels(
    method: Method,
    source: Student,
    auxiliary: Callable[[Tensor], Tensor] | None,
    buffers: Mapping[str, Tensor],
    evaluator: Evaluator,
    ids: Sequence[str],
) -> dict[str, Any]:
    """Share of confident pixels, and their accuracy against the hidden labels; every image of `ids` has a mask.

    Whole images are used, at the evaluation's scale nearest to 1. An accuracy is None if no confident pixel has a
    hidden label.
    """
    classes, device = evaluator.classes, evaluator.speed.device
    scale = min(evaluator.protocol["scales"], key=lambda one: abs(math.log(one)))
    pixels_of = torch.zeros(2, dtype=torch.int64, device=device)  # confident pixels, all pixels
    total = torch.zeros(2, classes, classes, dtype=torch.int64, device=device)  # everywhere, near borders
    for _, pixels, truth in evaluator.batches(ids):
        logits = source.eager(_scaled(pixels, scale)).logits
        mask = method.confident(logits, auxiliary, buffers)
        pixels_of[0] += mask.sum()
        pixels_of[1] += mask.numel()
        prediction, mask = (_at(one, truth.shape[-2:]) for one in (logits.max(1).indices, mask))
        sure, near = torch.where(mask.bool(), truth, IGNORE), borders.near_borders(truth)
        total[0] += confusion_matrices(prediction, sure, classes).sum(0)
        total[1] += confusion_matrices(prediction, torch.where(near, sure, IGNORE), classes).sum(0)
    confident, counted = distributed.total(pixels_of).tolist()
    return {"confident_share": confident / counted} | accuracies(*distributed.total(total).cpu().numpy())


def accuracies(everywhere: np.ndarray, near: np.ndarray) -> dict[str, Any]:
    """Accuracies of pseudo-labels, from matrices [K, K] of all confident pixels and of those near borders.

    The figure of a class is the precision: the share of right pixels among those with this pseudo-label.
    """
    given = np.diagonal(everywhere), everywhere.sum(0)
    return {
        "pseudo_accuracy": _share(everywhere.trace(), everywhere.sum()),
        "near_borders": _share(near.trace(), near.sum()),
        "inside": _share((everywhere - near).trace(), (everywhere - near).sum()),
        "by_class": [_share(hit, total) for hit, total in zip(*given, strict=True)],
    }


def _share(hit: Any, total: Any) -> float | None:
    return float(hit / total) if total else None


def _scaled(pixels: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return pixels
    return F.interpolate(pixels, scale_factor=scale, mode="bilinear", align_corners=False)


def _at(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels or a mask [B,H,W] at another size, by the nearest pixel."""
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values[:, None].float(), size, mode="nearest")[:, 0].to(torch.int64)
