"""CPU seconds, which other work of the machine changes less than it changes wall time."""

from __future__ import annotations

import resource


def of_children() -> float:
    """Of all child processes that have ended so far, with their own."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
