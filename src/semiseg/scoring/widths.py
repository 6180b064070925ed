"""Widths of the band around borders and of the bins of confidence; a report imports them without importing torch."""

from __future__ import annotations

import numpy as np

AFFECTS_RESULTS = False

BORDER_SHARE = 0.01  # share of the image's diagonal: the width of the band on each side of a border

# Bins are equally wide in the square root of 1 - confidence. They are narrow near 1, where most pixels of a trained
# network lie: the last bin begins at 0.999, and no bin is wider than 0.07.
BINS = 32
CENTRES = 1 - ((BINS - np.arange(BINS) - 0.5) / BINS) ** 2  # the confidence that stands for a bin
