"""What a method's pseudo-labels are worth, judged by the hidden labels that training never reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.base.labels import IGNORE
from semiseg.hardware import distributed
from semiseg.methods.method import Method
from semiseg.models.student import Student
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
) -> dict[str, float | None]:
    """Share of confident pixels, and their accuracy against the hidden labels; every one of `ids` has a label.

    Whole images, at the evaluation's scale nearest to 1.
    """
    classes, device = evaluator.classes, evaluator.speed.device
    scale = min(evaluator.protocol["scales"], key=lambda one: abs(math.log(one)))
    pixels_of = torch.zeros(2, dtype=torch.int64, device=device)  # confident ones, all
    total = torch.zeros(classes, classes, dtype=torch.int64, device=device)
    for _, pixels, truth in evaluator.batches(ids):
        logits = source.eager(_scaled(pixels, scale)).logits
        mask = method.confident(logits, auxiliary, buffers)
        pixels_of[0] += mask.sum()
        pixels_of[1] += mask.numel()
        prediction, mask = (_at(one, truth.shape[-2:]) for one in (logits.max(1).indices, mask))
        total += confusion_matrices(prediction, torch.where(mask.bool(), truth, IGNORE), classes).sum(0)
    total, pixels_of = distributed.total(total), distributed.total(pixels_of)
    confident, counted = pixels_of.tolist()
    found = total.sum()
    return {
        "confident_share": confident / counted,
        # None where no confident pixel has a hidden label: nothing was measured.
        "pseudo_accuracy": float(total.trace() / found) if found else None,
    }


def _scaled(pixels: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return pixels
    return F.interpolate(pixels, scale_factor=scale, mode="bilinear", align_corners=False)


def _at(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels or a mask [B,H,W] at another size, by the nearest pixel."""
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values[:, None].float(), size, mode="nearest")[:, 0].to(torch.int64)
