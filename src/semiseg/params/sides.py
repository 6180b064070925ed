"""Sides of crops, windows and images: one number for a square, or height and width."""

from __future__ import annotations

from typing import Any


def as_pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


def at_least(least: int, size: tuple[int, int]) -> tuple[int, int]:
    if min(size) < least:
        raise ValueError(f"expected a side, or [height, width], of at least {least} pixels, found {list(size)}")
    return size
