"""The methods; each file defines one method and has its name."""

from __future__ import annotations

from semiseg.methods.method import (
    REGISTRY,
    Batch,
    Channels,
    Method,
    MethodOptions,
    Needed,
    Passes,
    PseudoLabelOptions,
    Setting,
    Step,
    check,
    load,
    names,
    of_run,
)

__all__ = [
    "REGISTRY",
    "Batch",
    "Method",
    "MethodOptions",
    "Needed",
    "Channels",
    "Passes",
    "PseudoLabelOptions",
    "Setting",
    "Step",
    "check",
    "load",
    "names",
    "of_run",
]
