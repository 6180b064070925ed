"""Boundary mIoU: mIoU of the pixels near a border between two classes of the ground truth ("trimap" evaluation).

Kohli, Ladicky and Torr, "Robust higher order potentials", IJCV 2009. `semiseg.scoring.widths` states the width.
"""

from __future__ import annotations

from semiseg.scoring.metrics.miou import Miou
from semiseg.scoring.widths import BORDER_SHARE

AFFECTS_RESULTS = False


class BoundaryMiou(Miou):
    needs = "boundary"
    title = "Boundary mIoU"
    help = f"mIoU of the pixels within {100 * BORDER_SHARE:g} % of the image's diagonal of a border between classes"
