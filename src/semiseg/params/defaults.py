"""Which keys of a block stand at their default."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel


def at_default(block: BaseModel, prefix: str) -> Iterator[str]:
    """Dotted paths of the keys whose value is the schema's default, in the block and in the blocks within it."""
    for name, field in type(block).model_fields.items():
        value, path = getattr(block, name), f"{prefix}.{name}"
        if not field.is_required() and value == field.get_default(call_default_factory=True):
            yield path
        if isinstance(value, BaseModel):
            yield from at_default(value, path)
