"""Names, labels and order of methods, the same in every table, plot and page; they come from the methods' files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from semiseg import methods
from semiseg.base.errors import UserError

MAIN_VARIANTS = ("default", "adv_semi")


def title(method: str) -> str:
    """As the method's file writes it; a method whose file is gone keeps its plain name."""
    kind = _kind(method)
    return (kind and kind.title) or method


def in_order() -> list[str]:
    """All methods by the year of their paper, the supervised baseline first."""
    return sorted(methods.names(), key=lambda name: (methods.load(name).year, name))


def label(method: str, variant: str = "default") -> str:
    """ "UniMatch", "AdvSemiSeg (adv)", "SCL (our reading; scope=full)"."""
    name = title(method)
    if variant in MAIN_VARIANTS:
        return name
    return f"{name[:-1]}; {variant})" if name.endswith(")") else f"{name} ({variant})"


def of(thing: Any) -> str:
    """Label of a row, run or cell."""
    if isinstance(thing, dict):
        return label(thing["method"], thing["variant"])
    return label(thing.method, thing.variant)


def rank(thing: Any) -> tuple[Any, ...]:
    """Sort key: by the year of the method's paper, and a method's main variant first."""
    method, variant = (thing["method"], thing["variant"]) if isinstance(thing, dict) else (thing.method, thing.variant)
    kind = _kind(method)
    return (kind.year if kind else methods.Method.year, method, variant not in MAIN_VARIANTS, variant)


def joined(things: Iterable[str]) -> str:
    """ "a, b and c"."""
    *first, last = things
    return f"{', '.join(first)} and {last}" if first else last


def _kind(method: str) -> type[methods.Method] | None:
    try:
        return methods.load(method)
    except UserError:
        return None
