"""A reproducible comparison of semi-supervised semantic segmentation methods; `load` and `evaluate` are its library."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["evaluate", "load"]


def __getattr__(name: str) -> Any:
    """Reading the version of the package must not import PyTorch."""
    if name in __all__:
        from semiseg.inference import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
