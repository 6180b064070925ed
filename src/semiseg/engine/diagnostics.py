"""What a method's pseudo-labels are worth, judged by the hidden labels that training never reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from semiseg.data.confusion import confusion_matrices
from semiseg.engine.evaluate import IGNORE, Evaluator
from semiseg.engine.step import Student
from semiseg.methods.base import Method

AFFECTS_RESULTS = False


@torch.inference_mode()
def pseudo_labels(
    method: Method,
    source: Student,
    other: Student | None,
    auxiliary: nn.Module | None,
    evaluator: Evaluator,
    ids: Sequence[str],
) -> dict[str, float | None]:
    """Share of confident pixels, their accuracy and mIoU against the hidden labels, and how far two networks agree.

    Every one of `ids` has a label.
    """
    store, classes, device = evaluator.store, evaluator.classes, evaluator.speed.device
    confident = counted = agreed = torch.zeros((), device=device)
    total = torch.zeros(classes, classes, dtype=torch.int64, device=device)
    for chunk in evaluator.chunks(ids):
        pixels = evaluator.pixels([store.image(one) for one in chunk])
        logits = source.eager(pixels).logits
        prediction = logits.max(1).indices
        mask = method.confident(logits, auxiliary)
        confident = confident + mask.sum()
        counted = counted + mask.numel()
        if other is not None:
            agreed = agreed + (other.eager(pixels).logits.max(1).indices == prediction).sum()
        truth = torch.from_numpy(np.stack([store.label(one) for one in chunk])).to(device)
        total += confusion_matrices(prediction, torch.where(mask, truth, IGNORE), classes).sum(0)
    return {
        "confident_share": float(confident / counted),
        "agreement": float(agreed / counted) if other is not None else None,
        **_scores(total.cpu().numpy()),
    }


def _scores(total: np.ndarray) -> dict[str, float | None]:
    """None where no confident pixel has a hidden label: nothing was measured."""
    from semiseg.runs.selection import mean_iou

    if not total.sum():
        return {"pseudo_accuracy": None, "pseudo_miou": None}
    return {"pseudo_accuracy": float(np.trace(total) / total.sum()), "pseudo_miou": mean_iou(total)}
