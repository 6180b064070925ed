"""Sides of crops, windows and images: one number for a square, or height and width."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator


def sides(least: int) -> Any:
    """The type of a pair whose sides have at least `least` pixels."""

    def large_enough(size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < least:
            raise ValueError(f"expected a side, or [height, width], of at least {least} pixels, found {list(size)}")
        return size

    return Annotated[tuple[int, int], BeforeValidator(_as_pair), AfterValidator(large_enough)]


def _as_pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value
