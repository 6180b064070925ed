"""A labelled draw that covers every class if possible and balances the number of images per class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from semiseg.base.labels import IGNORE
from semiseg.splits.order import keyed_order


def stratified(pool: Sequence[str], labels_of: Callable[[str], set[int]], count: int, seed: int) -> list[str]:
    """First cover all classes, beginning with the rarest.

    Then add images of the class with the fewest labelled images.
    """
    order = keyed_order(pool, f"stratified:{seed}")
    labels = {k: frozenset(labels_of(k)) - {IGNORE} for k in order}
    frequency = Counter(c for k in order for c in labels[k])
    chosen = _cover(order, labels, frequency, count)
    have = Counter(c for k in chosen for c in labels[k])
    waiting = {c: [k for k in reversed(order) if c in labels[k]] for c in frequency}
    taken = set(chosen)
    while len(chosen) < count:
        image = _next(waiting, have, frequency, taken)
        if image is None:  # only images without any class are left
            image = next(k for k in order if k not in taken)
        chosen.append(image)
        taken.add(image)
        have.update(labels[image])
    return chosen


def _cover(order: list[str], labels: dict[str, frozenset[int]], frequency: Counter[int], count: int) -> list[str]:
    """Greedy set cover: an image of the rarest missing class that brings the most missing classes."""
    chosen: list[str] = []
    missing = set(frequency)
    while missing and len(chosen) < count:
        rarest = min(missing, key=lambda c: (frequency[c], c))
        image = max((k for k in order if rarest in labels[k]), key=lambda k: len(labels[k] & missing))
        chosen.append(image)
        missing -= labels[image]
    return chosen


def _next(waiting: dict[int, list[str]], have: Counter[int], frequency: Counter[int], taken: set[str]) -> str | None:
    """The first remaining image of the class with the fewest labelled images; in ties, of the rarer class."""
    for c in sorted(waiting, key=lambda c: (have[c], frequency[c], c)):
        while waiting[c] and waiting[c][-1] in taken:
            waiting[c].pop()
        if waiting[c]:
            return waiting[c].pop()
    return None
