"""JSON objects with a hash of their content, so that damage and edits are detected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semiseg.base.files import peek_json, sha256_json

AFFECTS_RESULTS = False


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"sha256": sha256_json(content)}


def holds(content: Any) -> bool:
    """Whether the content matches its hash."""
    return isinstance(content, dict) and content == sealed({k: v for k, v in content.items() if k != "sha256"})


def is_whole(path: Path) -> bool:
    return holds(peek_json(path))
