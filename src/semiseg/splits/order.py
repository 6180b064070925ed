"""Random orders that do not depend on the version of any library."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def keyed_order(ids: Iterable[str], key: str) -> list[str]:
    """The ids ordered by the hash of key and id: a shuffle without a generator, whose prefixes are nested."""
    return sorted(ids, key=lambda k: (hashlib.sha256(f"{key}\n{k}".encode()).digest(), k))
