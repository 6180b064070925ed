"""How well confidence detects errors: the probability that a right pixel is more confident than a wrong one.

This is the area under the ROC curve of confidence as a detector of right pixels (Hendrycks and Gimpel, ICLR 2017), from
the bins of `semiseg.scoring.confidence`; pixels of one bin count as ties, one half.
"""

from __future__ import annotations

import numpy as np

from semiseg.scoring.metric import Metric

AFFECTS_RESULTS = False


class ErrorAuroc(Metric):
    needs = "confidence"
    title = "AUROC of confidence"
    help = "chance in percent that a right pixel is more confident than a wrong one"

    @classmethod
    def table(cls, per_image: np.ndarray) -> np.ndarray:
        return per_image.reshape(len(per_image), -1).astype(np.float64)

    @classmethod
    def score(cls, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
        wrong, right = np.split(weights @ table, 2, axis=1)
        below = np.cumsum(wrong, axis=1) - wrong / 2
        pairs = wrong.sum(1) * right.sum(1)
        return 100.0 * np.divide((right * below).sum(1), pairs, out=np.full(len(pairs), 0.5), where=pairs > 0)
