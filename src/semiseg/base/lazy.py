"""Stand-ins for torch that import it on first use.

Method files declare their options next to their mathematics. Snakemake, the CLI and DVC read those options on every
call, and importing torch costs seconds; with these names in place of `import torch`, reading options costs nothing.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class _Lazy(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(importlib.import_module(self.__name__), name)
        self.__dict__[name] = value  # later look-ups find the real attribute
        return value


torch: Any = _Lazy("torch")
F: Any = _Lazy("torch.nn.functional")
