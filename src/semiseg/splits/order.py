"""Random orders that every version of every library draws alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def keyed_order(ids: Iterable[str], key: str) -> list[str]:
    """The ids by the hash of key and id: a shuffle that needs no generator, and whose prefixes are nested."""
    return sorted(ids, key=lambda k: (hashlib.sha256(f"{key}\n{k}".encode()).digest(), k))
