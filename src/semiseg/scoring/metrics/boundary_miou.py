"""Boundary mIoU: mIoU of the pixels near a border between two classes of the ground truth ("trimap" evaluation).

Kohli, Ladicky and Torr, "Robust higher order potentials", IJCV 2009. `semiseg.scoring.borders` states the width.
"""

from __future__ import annotations

from semiseg.scoring.borders import SHARE
from semiseg.scoring.metrics.miou import Miou

AFFECTS_RESULTS = False


class BoundaryMiou(Miou):
    needs = "boundary"
    title = "Boundary mIoU"
    help = f"mIoU of the pixels within {100 * SHARE:g} % of the image's diagonal of a border between classes"
