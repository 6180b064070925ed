"""What a method's pseudo-labels are worth, judged by the hidden labels that training never reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.data.confusion import confusion_matrices
from semiseg.data.store import Store
from semiseg.engine.device import Speed
from semiseg.engine.step import Student
from semiseg.methods.base import Method

AFFECTS_RESULTS = False


@torch.inference_mode()
def pseudo_labels(
    method: Method,
    source: Student,
    other: Student | None,
    auxiliary: nn.Module | None,
    store: Store,
    ids: Sequence[str],
    classes: int,
    speed: Speed,
) -> dict[str, float | None]:
    """Share of confident pixels, their accuracy and mIoU against the hidden labels, and how far two networks agree."""
    from semiseg.data import views

    confident = counted = agreed = torch.zeros((), device=speed.device)
    total = torch.zeros(classes, classes, dtype=torch.int64, device=speed.device)
    for one in ids:
        pixels = views.to_pixels(torch.from_numpy(np.array(store.image(one))).to(speed.device).permute(2, 0, 1)[None])
        logits = source.eager(pixels).logits
        prediction = logits.max(1).indices
        mask = method.confident(logits, auxiliary)
        confident = confident + mask.sum()
        counted = counted + mask.numel()
        if other is not None:
            agreed = agreed + (other.eager(pixels).logits.max(1).indices == prediction).sum()
        if store.has_label(one):
            total += _matrix(prediction, mask, store.label(one), classes)
    return {
        "confident_share": float(confident / counted),
        "agreement": float(agreed / counted) if other is not None else None,
        **_scores(total.cpu().numpy()),
    }


def _matrix(prediction: Tensor, mask: Tensor, label: np.ndarray, classes: int) -> Tensor:
    truth = torch.from_numpy(np.array(label)).to(prediction.device).long()[None]
    return confusion_matrices(prediction, torch.where(mask, truth, 255), classes)[0]


def _scores(total: np.ndarray) -> dict[str, float | None]:
    """None where no confident pixel has a hidden label: nothing was measured."""
    from semiseg.runs.selection import mean_iou

    if not total.sum():
        return {"pseudo_accuracy": None, "pseudo_miou": None}
    return {"pseudo_accuracy": float(np.trace(total) / total.sum()), "pseudo_miou": mean_iou(total)}
