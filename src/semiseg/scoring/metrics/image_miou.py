"""Image-level mIoU: the mean over images of each image's own mIoU (Wang et al., NeurIPS 2023 Datasets and Benchmarks).

Every image has the same weight, however large its objects are. A class that occurs neither in an image's mask nor in
its prediction is left out of that image's mean; an image without a labelled pixel is left out.
"""

from __future__ import annotations

import numpy as np

from semiseg.scoring.metric import Metric
from semiseg.scoring.metrics.miou import Miou

AFFECTS_RESULTS = False


def of_each_image(per_image: np.ndarray) -> np.ndarray:
    """mIoU in percent of every image [N]; NaN where no pixel has a label."""
    own = Miou.score(np.eye(len(per_image)), Miou.table(per_image))
    return np.where(per_image.sum((1, 2)) > 0, own, np.nan)


class ImageMiou(Metric):
    title = "Image mIoU"
    help = "mean over images of each image's own mIoU"

    @classmethod
    def table(cls, per_image: np.ndarray) -> np.ndarray:
        own = of_each_image(per_image)
        return np.stack([np.nan_to_num(own), np.isfinite(own)], axis=1)

    @classmethod
    def score(cls, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
        total, images = (weights @ table).T
        return total / np.maximum(images, 1)
