"""Validation errors as messages that name the file and its keys."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ValidationError

AFFECTS_RESULTS = False

SHOWN = 40  # valid names


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the list of valid names when none is close."""
    names = sorted(map(str, valid))
    close = difflib.get_close_matches(name, names, n=1)
    if close or not names:
        return f"; did you mean {close[0]!r}?" if close else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; valid: {', '.join(names[:SHOWN])}{more}"


def explain(error: ValidationError, model: type[BaseModel], source: str | Path, prefix: str = "") -> str:
    """One line for each problem: file, path of the key, what was expected."""
    lines = []
    for problem in error.errors():
        location = [str(part) for part in problem["loc"]]
        path = ".".join(([prefix] if prefix else []) + location)
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"unknown key{nearest(location[-1], _fields(model, location[:-1]))}"
        elif problem["type"] == "missing":
            message = "this key is missing"
        else:
            message += _found(problem.get("input"))
        lines.append(f"{source}: {path or 'top level'}: {message}")
    return "\n".join(lines)


def _found(value: object) -> str:
    return f" (found {value!r})" if isinstance(value, str | int | float | bool | type(None)) else ""


def _fields(model: type[BaseModel], path: list[str]) -> list[str]:
    """Names of the keys that are valid at `path` below `model`."""
    current: object = model
    parts = iter(path)
    for part in parts:
        if part.isdigit():  # a position in a list of blocks
            continue
        field = current.model_fields.get(part) if isinstance(current, type) else None
        if field is None:
            return []
        current = _model_within(field.annotation)
        if typing.get_origin(field.annotation) is dict:
            next(parts, None)  # the entry's own name, which is free
    return list(current.model_fields) if isinstance(current, type) else []


def _model_within(annotation: object) -> object:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = [_model_within(part) for part in typing.get_args(annotation)]
    return next((found for found in models if found is not None), None)
