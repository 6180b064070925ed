"""Expected calibration error: by how much confidence and accuracy differ, over bins of confidence, weighted by pixels.

Guo et al., ICML 2017, with the bins of `semiseg.scoring.widths`, which are narrow where most pixels are. A pixel
has the confidence of the middle of its bin.
"""

from __future__ import annotations

import numpy as np

from semiseg.scoring.metric import Metric
from semiseg.scoring.widths import CENTRES

AFFECTS_RESULTS = False


class CalibrationError(Metric):
    needs = "confidence"
    title = "ECE"
    help = "expected calibration error: |confidence - accuracy| over bins of confidence"
    digits = 2
    lower_is_better = True

    @classmethod
    def table(cls, per_image: np.ndarray) -> np.ndarray:
        """Wrong and right pixels of each bin."""
        return per_image.reshape(len(per_image), -1).astype(np.float64)

    @classmethod
    def score(cls, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
        wrong, right = np.split(weights @ table, 2, axis=1)
        pixels = wrong + right
        return 100.0 * np.abs(pixels * CENTRES - right).sum(1) / np.maximum(pixels.sum(1), 1)
