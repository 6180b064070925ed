"""Blocks in users' files: unknown keys, text in place of numbers, and infinite numbers are errors."""

from __future__ import annotations

from itertools import repeat
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

AFFECTS_RESULTS = False


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        _check(cls.model_fields[info.field_name].annotation, value)
        return value


def _check(kind: Any, value: Any) -> None:
    """YAML distinguishes numbers, text and booleans, except that it reads `1e-4` as text."""
    origin, within = get_origin(kind), get_args(kind)
    if origin is Annotated:
        _check(within[0], value)
    elif origin in (Union, UnionType):
        kinds = [one for one in within if one is not NoneType]
        if len(kinds) == 1 and value is not None:
            _check(kinds[0], value)
    elif origin is tuple and isinstance(value, list | tuple):
        for one_kind, one in zip(repeat(within[0]) if within[-1] is Ellipsis else within, value, strict=False):
            _check(one_kind, one)
    elif (kind is int and isinstance(value, str | bool)) or (kind is float and isinstance(value, bool)):
        raise ValueError("expected a number")
    elif kind is bool and not isinstance(value, bool):
        raise ValueError("expected true or false")
