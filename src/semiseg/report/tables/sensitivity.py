"""In two sentences: how much figures differ by chance, and how large a gain has to be for the study to find it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from semiseg.report.cells import METHOD
from semiseg.report.records import Records


def sentences(records: Records) -> str:
    """Empty where there are no repetitions to measure it."""
    cells = [cell for cell in records.cells() if cell.finished]
    said = []
    spread = pooled_sd(cell.values() for cell in cells)
    if spread is not None:
        said.append(f"Trainings of one cell differ by {spread:.1f} points (pooled standard deviation).")
    found = []
    for cell in cells:
        baseline = records.baseline(cell)
        interval = records.difference(cell, baseline) if cell.role == METHOD and baseline is not None else None
        if interval is not None and interval.error and interval.p is not None:  # the others cover images only
            found.append(interval.detectable())
    if found:
        said.append(
            f"A true difference to supervised of {np.median(found):.1f} points (median over the cells) would be found "
            "in four of five such studies, without correction for the number of comparisons."
        )
    return " ".join(said)


def pooled_sd(samples: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation within the groups of at least two."""
    groups = [np.asarray(values) for values in samples if len(values) > 1]
    freedom = sum(len(values) - 1 for values in groups)
    if not freedom:
        return None
    return float(np.sqrt(sum(((values - values.mean()) ** 2).sum() for values in groups) / freedom))
