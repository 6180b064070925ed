"""Write docs/params.md: every key of params.yaml, with its type, its default and its meaning, from the schema."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from semiseg import methods
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.models.network_config import NetworkConfig
from semiseg.params import evaluation, recipe, schema
from semiseg.params.tune import Tune
from semiseg.splits.families import FAMILIES, SEEDED

PAGE = Path(__file__).resolve().parents[1] / "docs/params.md"
HEAD = """\
# params.yaml, key by key

Written by `scripts/params_reference.py` from the schema. Keys without a default are required. A suite with
`extends: NAME` inherits that suite and overrides some of its keys; `only: [...]` keeps some of its methods.
`params.local.yaml`, which git ignores, overrides the file.
"""
WORDS = {int: "integer", float: "number", str: "text", bool: "`true`, `false`", Path: "path"}
BLOCKS = (
    ("params.yaml", schema.Params),
    ("datasets.NAME", DatasetConfig),
    ("suites.NAME", schema.Suite),
    ("suites.NAME.splits", schema.Splits),
    ("suites.NAME.recipe", recipe.Recipe),
    ("suites.NAME.recipe.network", NetworkConfig),
    ("suites.NAME.recipe.batch", recipe.Batch),
    ("suites.NAME.recipe.optimiser, mask_head_optimiser", recipe.Optimiser),
    ("suites.NAME.recipe.criterion", recipe.Criterion),
    ("suites.NAME.recipe.augment", recipe.Augment),
    ("suites.NAME.recipe.ema", recipe.Ema),
    ("suites.NAME.recipe.engine", recipe.Engine),
    ("suites.NAME.evaluation", evaluation.Evaluation),
    ("suites.NAME.evaluation.protocol", evaluation.Protocol),
    ("suites.NAME.runtime", schema.Runtime),
    ("suites.NAME.methods.METHOD", schema.MethodEntry),
    ("suites.NAME.ablations.NAME", schema.Ablation),
    ("suites.NAME.tune", Tune),
)


def page(names: Sequence[str] | None = None) -> str:
    """The page, with the options of these methods, by default all."""
    listed = methods.names() if names is None else names
    parts = [HEAD, *(_block(place, model) for place, model in BLOCKS), _families(), _methods(listed)]
    return "\n".join(parts)


def _block(place: str, model: type[BaseModel]) -> str:
    rows = [_row(f"`{key}`", field.annotation, field.get_default(call_default_factory=True), field.description)
            for key, field in model.model_fields.items()]  # fmt: skip
    text = re.sub(r"\s+", " ", model.__doc__ or "")
    return "\n".join([f"## `{place}`\n", *([text, ""] if text else []), *_table("key", rows)])


def _table(first: str, rows: list[str]) -> list[str]:
    return [f"| {first} | | default | meaning |", "|---|---|---|---|", *rows, ""]


def _row(name: str, kind: Any, default: Any, meaning: str | None) -> str:
    text = re.sub(r"\s+", " ", meaning or "")
    return f"| {name} | {_kind(kind)} | {_default(default)} | {text} |".replace("  ", " ")


def _kind(kind: Any) -> str:
    origin, within = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _kind(within[0])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in within)
    if origin in (Union, types.UnionType):
        return " or ".join("`null`" if one is types.NoneType else _kind(one) for one in within)
    if origin is tuple:
        return f"list of {_kind(within[0])}" if within[-1] is Ellipsis else f"{len(within)} x {_kind(within[0])}"
    if origin in (dict, list):
        return "mapping" if origin is dict else "list"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "block"
    return WORDS[kind]


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if value in ("", {}):
        return "none"
    return "`null`" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _families() -> str:
    lines = [f"| `{name}{':<seed>' if name in SEEDED else ''}` | {text} |" for name, text in FAMILIES.items()]
    return "\n".join(["## Families of lists\n", "| `splits.family` | |", "|---|---|", *lines, ""])


def _methods(names: Sequence[str]) -> str:
    parts = [
        "## Options of the methods\n",
        "All but `supervised` have `control` as well: `none`, or, to test a method, `oracle` (the hidden labels in\n"
        "place of its pseudo-labels) or `shuffled` (another image's prediction).\n",
    ]
    for name in names:
        parts += [f"### `{name}`", "", *options_table(name)]
    return "\n".join(parts)


def options_table(name: str) -> list[str]:
    """A method's options with the sources of their values, and its named variants."""
    kind = methods.load(name)
    comments = _comments(kind.Options)
    rows = [_row(f"`{key}`", field.annotation, field.default, comments.get(key))
            for key, field in kind.Options.model_fields.items() if key != "control"]  # fmt: skip
    words = [f"`{word}` = {_changes(change)}" for word, change in kind.variant_names.items()]
    named = [f"Named variants: {'; '.join(words)}.", ""] if words else []
    return [*named, *_table("option", rows)]


def _comments(options: type[BaseModel]) -> dict[str, str]:
    """Option -> the comments above and beside it, which give its meaning and the source of its value."""
    found, above = {}, []
    for base in reversed(options.__mro__[:-1]):
        lines = inspect.getsource(base).splitlines() if base.__module__.startswith("semiseg.methods") else []
        for line in lines:
            code, _, comment = line.partition("# ")
            if not code.strip():
                above = [*above, comment] if comment else []
            elif name := re.match(r"\s+(\w+): ", code):
                found[name[1]] = "; ".join(filter(None, [" ".join(above), comment]))
                above = []
    return found


def _changes(changes: dict[str, Any]) -> str:
    return ", ".join(f"`{key}: {value}`" for key, value in changes.items()) or "the defaults"


if __name__ == "__main__":
    PAGE.write_text(page())
