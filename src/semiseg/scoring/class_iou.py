"""IoU of every class from one confusion matrix over all images: what a difference in mIoU is made of."""

from __future__ import annotations

import numpy as np

from semiseg.scoring.metric import Metric
from semiseg.scoring.metrics.miou import Miou

AFFECTS_RESULTS = False


class ClassIou(Metric):
    """Like a metric, but with a score for each class; it has no column and is in no registry."""

    @classmethod
    def table(cls, per_image: np.ndarray) -> np.ndarray:
        return Miou.table(per_image)

    @classmethod
    def score(cls, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
        """[R, K]. A draw of images without a class says nothing about it: it takes the class's IoU over all images."""
        iou = _iou(weights @ table)
        return np.where(np.isnan(iou), np.nan_to_num(_iou(table.sum(0, keepdims=True))), iou)


def _iou(counts: np.ndarray) -> np.ndarray:
    hit, true, predicted = np.split(counts, 3, axis=1)
    union = true + predicted - hit
    return np.divide(100.0 * hit, union, out=np.full_like(hit, np.nan), where=union > 0)
