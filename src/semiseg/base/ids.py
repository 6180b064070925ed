"""Lists of image ids: read from a text file, and their hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from semiseg.base.errors import UserError


def read_ids(path: Path) -> list[str]:
    """Ids of a text list: one per line; blank lines and lines that start with # are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"the list {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the list {path} is not text in UTF-8; save it again as plain text") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def ids_sha256(ids: Iterable[str]) -> str:
    """The identity of a split: sha256 of the sorted ids joined by newlines."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def parse_ids(text: str) -> list[str]:
    """Ids of a list in any family's format: the stem of each line's first path, Cityscapes' image suffix removed."""
    ids = []
    for line in text.splitlines():
        if line.strip():
            name = re.split(r"[/\\]", line.split()[0])[-1]
            ids.append(re.sub(r"\.(jpg|jpeg|png)$", "", name).removesuffix("_leftImg8bit"))
    return ids
