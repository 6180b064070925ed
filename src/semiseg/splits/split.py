"""A split: the labelled and the unlabelled training images, and the hash that names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Split:
    """Sorted ids of both parts; sha256 is of the sorted labelled ids joined by newlines."""

    family: str
    partition: str
    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "family": self.family,
            "partition": self.partition,
            "labelled": list(self.labelled),
            "unlabelled": list(self.unlabelled),
            "sha256": self.sha256,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Split:
        lists = {part: tuple(value[part]) for part in ("labelled", "unlabelled")}
        return cls(value["family"], value["partition"], **lists, sha256=value["sha256"])
