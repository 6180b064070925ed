"""Methods: every file of this package that does not begin with an underscore (`base.py` aside) is one, named after it."""

from __future__ import annotations

from semiseg.methods.base import Batch, Method, MethodOptions, Setting, Step, load, names

__all__ = ["Batch", "Method", "MethodOptions", "Setting", "Step", "load", "names"]
