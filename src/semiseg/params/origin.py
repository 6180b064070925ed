"""Which of the two files, params.yaml and params.local.yaml, holds a key: messages name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Origin:
    """The content of params.yaml, and that of params.local.yaml (None: there is no such file)."""

    path: Path
    content: dict[str, Any]
    local_path: Path
    local: dict[str, Any] | None

    def contents(self) -> dict[Path, dict[str, Any]]:
        return {self.path: self.content} | ({} if self.local is None else {self.local_path: self.local})

    def at(self, *keys: str) -> str:
        """`params.yaml: suites.mine.seeds`, with the file that holds the key."""
        return f"{self.file(keys)}: {'.'.join(keys) or 'top level'}"

    def file(self, keys: Sequence[str]) -> Path:
        """A key of both files counts as the local one's, whose value is used."""
        own, other = self.local, self.content
        if own is None:
            return self.path
        for depth, key in enumerate(keys):
            if not isinstance(own, dict):  # this value replaces all that params.yaml has here
                return self.local_path
            own, other = _named(own), _named(other)
            if key not in own and key.isdigit():  # one block where a list of blocks is possible
                continue
            if key not in own:
                return self.path if other or depth == 0 else self.local_path  # a missing key belongs to its block
            own, other = own[key], other.get(key)
        return self.local_path if keys else self.path


def _named(block: Any) -> dict[str, Any]:
    """YAML reads the name 2024 as a number; paths of keys are text."""
    return {str(key): value for key, value in block.items()} if isinstance(block, dict) else {}
