"""Blocks of params.yaml take no unknown keys, no words for numbers, and no numbers that JSON has not."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML tells numbers from words and from yes and no; `1e-4`, which it takes for a word, is the exception."""
        kind = cls.model_fields[info.field_name].annotation
        if (kind in (int, int | None) and isinstance(value, str | bool)) or (
            kind in (float, float | None) and isinstance(value, bool)
        ):
            raise ValueError("expected a number")
        if kind is bool and not isinstance(value, bool):
            raise ValueError("expected true or false")
        return value
