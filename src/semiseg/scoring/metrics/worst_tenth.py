"""Mean mIoU of the worst tenth of the images: the quality in bad cases."""

from __future__ import annotations

import numpy as np

from semiseg.scoring.metric import Metric
from semiseg.scoring.metrics.image_miou import of_each_image

AFFECTS_RESULTS = False

SHARE = 0.1


class WorstTenth(Metric):
    title = "Worst tenth"
    help = "mean of the images' own mIoU over the worst 10 % of the images"

    @classmethod
    def table(cls, per_image: np.ndarray) -> np.ndarray:
        return of_each_image(per_image)[:, None]

    @classmethod
    def score(cls, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
        """If a tenth is not a whole number of images, the last image counts in part."""
        own = table[:, 0]
        order = np.argsort(own, kind="stable")[: np.isfinite(own).sum()]  # NaN is sorted to the end
        counts = weights[:, order]
        wanted = SHARE * counts.sum(1, keepdims=True)
        before = np.cumsum(counts, axis=1) - counts
        taken = np.clip(wanted - before, 0, counts)
        return (taken @ own[order]) / np.maximum(taken.sum(1), 1e-12)
