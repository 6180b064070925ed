"""A metric: the data that it needs from an evaluation, its column, and the score of a weighted set of images.

The weights are the number of times that each image counts, so one definition gives both the score (every image once)
and its bootstrap over images.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from semiseg.base.registry import Registry

AFFECTS_RESULTS = False

# confusion: [N, K, K], rows truth; boundary: the same of the pixels near borders between classes; confidence: wrong and
# right pixels by confidence, [N, 2, bins].
Needs = Literal["confusion", "boundary", "confidence"]


class Metric:
    """One metric; a subclass is its definition and its column."""

    needs: ClassVar[Needs] = "confusion"
    title: ClassVar[str]
    help: ClassVar[str]
    digits: ClassVar[int] = 1
    lower_is_better: ClassVar[bool] = False

    @classmethod
    def table(cls, per_image: np.ndarray) -> np.ndarray:
        """float64 [N, D]: the contribution of each image, computed from the data that the metric needs."""
        raise NotImplementedError

    @classmethod
    def score(cls, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
        """The metric [R] in percent, for R sets; weights [R, N] are the number of times that each image counts."""
        raise NotImplementedError

    @classmethod
    def value(cls, per_image: np.ndarray) -> float:
        """The score of all images."""
        return float(cls.score(np.ones((1, len(per_image))), cls.table(per_image))[0])


REGISTRY = Registry("metric", "semiseg.scoring.metrics", Metric)
