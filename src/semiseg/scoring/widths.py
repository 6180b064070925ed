"""Width of the band around borders, and of the bins of confidence. Without PyTorch: a report imports them quickly."""

from __future__ import annotations

import numpy as np

AFFECTS_RESULTS = False

BORDER_SHARE = 0.01  # of the image's diagonal: the band reaches so far on both sides of a border

# Equally wide in the square root of 1 - confidence, so that they are narrow near 1, where most pixels of a trained
# network are: the last bin begins at 0.999, and none is wider than 0.07.
BINS = 32
CENTRES = 1 - ((BINS - np.arange(BINS) - 0.5) / BINS) ** 2  # the confidence that a pixel of a bin is taken to have
