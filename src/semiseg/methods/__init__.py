"""Methods, one file each and named after it; `method.py` and files that begin with an underscore are none."""

from __future__ import annotations

from semiseg.methods.method import (
    Batch,
    Channels,
    Method,
    MethodOptions,
    PseudoLabelOptions,
    Setting,
    Step,
    check,
    load,
    names,
)

__all__ = [
    "Batch",
    "Channels",
    "Method",
    "MethodOptions",
    "PseudoLabelOptions",
    "Setting",
    "Step",
    "check",
    "load",
    "names",
]
