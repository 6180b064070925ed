"""Processes a batch in parts, one after another: each part is treated as a batch, and their gradients are averaged."""

from __future__ import annotations

from semiseg import methods, views
from semiseg.feed.loader import Loaded


def cut(batch: Loaded, part: int, parts: int) -> tuple[methods.Batch, slice, slice]:
    """One part of the batch, and its rows among the labelled and the unlabelled images."""
    labelled = _rows(len(batch.image), part, parts)
    image, label = views.to_pixels(batch.image[labelled]), batch.label[labelled]
    if batch.unlabelled is None:
        return methods.Batch(image, label), labelled, slice(0, 0)
    rows = _rows(len(batch.unlabelled), part, parts)
    unlabelled = views.to_pixels(batch.unlabelled[rows])
    given = None if batch.given is None else batch.given[rows]
    return methods.Batch(image, label, unlabelled, batch.valid[rows], given), labelled, rows


def _rows(count: int, part: int, parts: int) -> slice:
    return slice(part * count // parts, (part + 1) * count // parts)
