"""A JSON object that carries the hash of what it says, so that damage or an edit on its way is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semiseg.base.files import peek_json, sha256_json

AFFECTS_RESULTS = False


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"sha256": sha256_json(content)}


def holds(content: Any) -> bool:
    """Is the content that which was sealed?"""
    return isinstance(content, dict) and content == sealed({k: v for k, v in content.items() if k != "sha256"})


def is_whole(path: Path) -> bool:
    return holds(peek_json(path))
