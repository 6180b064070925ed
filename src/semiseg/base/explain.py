"""Validation errors as messages that name the file and its keys."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

AFFECTS_RESULTS = False

SHOWN = 40  # valid names
MAPPING, LIST, WHOLE = "expected a mapping of `key: value`", "expected a list", "expected a whole number"
# Pydantic's type of an error -> what is wanted; the names in braces are in the error's context.
WANTED = {
    "dict_type": MAPPING,
    "model_type": MAPPING,
    "list_type": LIST,
    "tuple_type": LIST,
    "string_type": "expected text",
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "path_type": "expected a path",
    "literal_error": "expected {expected}",
    "greater_than": "expected a number above {gt}",
    "greater_than_equal": "expected a number of at least {ge}",
    "less_than": "expected a number below {lt}",
    "less_than_equal": "expected a number of at most {le}",
    "too_short": "expected at least {min_length} entry",
}


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
    for location, message in problems(error, model):
        path = ".".join(([prefix] if prefix else []) + location)
        lines.append(f"{source}: {path or 'top level'}: {message}")
    return "\n".join(lines)


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[list[str], str]]:
    """The path of each wrong key, and a sentence about it."""
    for problem in error.errors():
        location, value = [str(part) for part in problem["loc"]], problem["input"]
        if problem["type"] == "extra_forbidden":
            yield location, f"unknown key{nearest(location[-1], _fields(model, location[:-1]))}"
        elif problem["type"] == "missing":
            yield location, "this key is missing"
        elif location and location[-1] == "[key]":
            yield location[:-1], f"the name {value} must be text; write it in quotes"
        elif problem["type"] in WANTED:
            context = problem.get("ctx", {})
            if problem["type"] == "too_short" and len(value) >= context["min_length"]:
                continue  # entries are wrong rather than missing, and each has a sentence
            quotes = "; write it in quotes" * (problem["type"] == "string_type" and isinstance(value, int | float))
            yield location, f"{WANTED[problem['type']].format_map(context)} (found {_in_words(value)}){quotes}"
        else:
            simple = isinstance(value, str | int | float | bool | type(None))
            yield location, problem["msg"].removeprefix("Value error, ") + simple * f" (found {_in_words(value)})"


def _in_words(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list | tuple):
        return f"{'a' if value else 'an empty'} {'mapping' if isinstance(value, dict) else 'list'}"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) else str(value)


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
