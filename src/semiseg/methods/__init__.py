"""Methods, one file each and named after it."""

from __future__ import annotations

from semiseg.methods.method import (
    REGISTRY,
    Batch,
    Method,
    MethodOptions,
    Owned,
    PseudoLabelOptions,
    Setting,
    Step,
    check,
    load,
    names,
)

__all__ = [
    "REGISTRY",
    "Batch",
    "Method",
    "MethodOptions",
    "Owned",
    "PseudoLabelOptions",
    "Setting",
    "Step",
    "check",
    "load",
    "names",
]
