"""mIoU and the three selection rules (`last`, `best`, `lastk`), from a run's per-image confusion matrices alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semiseg.base.errors import UserError
from semiseg.runs.evaluations import Evaluations

AFFECTS_RESULTS = False  # made from evaluations.npz alone, after the training


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """IoU in percent [..., K] of matrices [..., K, K]; NaN where a class has neither a true nor a predicted pixel."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    union = confusion.sum(-1) + confusion.sum(-2) - hit
    return np.divide(100.0 * hit, union, out=np.full_like(hit, np.nan), where=union > 0)


def mean_iou(confusion: np.ndarray) -> float:
    """mIoU in percent of ONE matrix over the whole set; a class that occurs in neither map is left out of the mean."""
    iou = class_iou(confusion)
    return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")


def score(confusion: np.ndarray, classes: Sequence[str], iteration: int) -> dict[str, Any]:
    """The entry of one evaluation in eval.json; shares in percent, null for absent classes."""
    iou = class_iou(confusion)
    present = np.isfinite(iou)
    return {
        "iteration": iteration,
        "miou": mean_iou(confusion),
        "pixel_accuracy": float(100.0 * np.trace(confusion) / confusion.sum()),
        "per_class": [float(value) if there else None for value, there in zip(iou, present, strict=True)],
        "absent": [name for name, there in zip(classes, present, strict=True) if not there],
        "confusion": confusion.tolist(),
    }


def summarise(
    evaluations: Evaluations,
    *,
    spec_sha256: str,
    evaluated_on: str,
    selected_on: str | None,
    lastk: int,
    reported_network: str,
) -> dict[str, Any]:
    """The content of eval.json; with `selected_on` None, selection is forbidden and no network has a `best`."""
    iterations = evaluations.iterations
    if evaluated_on not in evaluations.sets:
        raise UserError(f"nothing was evaluated on the set {evaluated_on!r}; the run has {evaluations.sets}")
    networks = {
        network: _by_rule(evaluations, network, evaluated_on, selected_on, lastk) for network in evaluations.networks
    }
    if reported_network not in networks:
        raise UserError(f"the {reported_network} was never evaluated; the run has {evaluations.networks}")
    return {
        "spec_sha256": spec_sha256,
        "classes": evaluations.classes,
        "protocol": evaluations.protocol,
        "evaluated_on": evaluated_on,
        "selected_on": selected_on,
        "iterations": iterations,
        "reported_network": reported_network,
        "networks": networks,
    }


def _by_rule(
    evaluations: Evaluations, network: str, evaluated_on: str, selected_on: str | None, lastk: int
) -> dict[str, Any]:
    curves = {name: _curve(evaluations, name, network) for name in evaluations.sets}
    final = curves[evaluated_on][-lastk:]
    best = None
    if selected_on is not None:
        # argmax returns the first maximum: the earliest evaluation with the best figure
        best = _score_at(evaluations, evaluated_on, network, int(np.argmax(curves[selected_on])))
    return {
        "last": _score_at(evaluations, evaluated_on, network, len(evaluations.iterations) - 1),
        "best": best,
        "lastk": {
            "miou": float(np.mean(final)),
            "k": len(final),
            "iterations": evaluations.iterations[-lastk:],
        },
        "curves": curves,
    }


def _curve(evaluations: Evaluations, name: str, network: str) -> list[float]:
    curve = [mean_iou(evaluations.total(name, network, index)) for index in range(len(evaluations.iterations))]
    if np.isnan(curve).any():
        raise UserError(f"no pixel of the set {name!r} is labelled; check its masks")
    return curve


def _score_at(evaluations: Evaluations, name: str, network: str, index: int) -> dict[str, Any]:
    return score(evaluations.total(name, network, index), evaluations.classes, evaluations.iterations[index])
