"""A reproducible comparison of semi-supervised segmentation methods; as a library it offers `load` and `evaluate`."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["evaluate", "load"]


def __getattr__(name: str) -> Any:
    """Import lazily, because reading the package's version must not import PyTorch."""
    if name in __all__:
        from semiseg.inference import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
