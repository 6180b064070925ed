"""Registries with one file per entry: methods, kinds of data set, architectures and metrics.

An entry is a subclass, defined in a file of the registry's package or in a user's file that `plugins:` in params.yaml
names. Its name is that of the file; a class attribute `names` gives it another name, or several.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import Generic, TypeVar

from semiseg.base import plugins
from semiseg.base.errors import UserError
from semiseg.base.explain import nearest

AFFECTS_RESULTS = False

T = TypeVar("T")


class Registry(Generic[T]):
    """`what` is the word for an entry in messages; `package` holds the entries; every entry derives from `base`.

    A file of the package is imported when its entry is requested. `renamed` lists files whose entries have other names
    than the file; these are imported to list the names.
    """

    def __init__(
        self,
        what: str,
        package: str,
        base: type[T],
        not_entries: Iterable[str] = (),
        renamed: Iterable[str] = (),
    ) -> None:
        self.what, self.package, self.base = what, package, base
        self._not_entries, self._renamed = frozenset(not_entries), frozenset(renamed)
        self._files: dict[str, str] = {}

    def names(self) -> list[str]:
        return sorted({*self._own(), *self._of_plugins()})

    def load(self, name: str) -> type[T]:
        added = self._of_plugins()
        if name in added:
            return added[name]
        own = self._own()
        if name not in own:
            raise UserError(f"there is no {self.what} {name!r}{nearest(name, self.names())}")
        module = importlib.import_module(own[name])
        entries = self.defined_in(module)
        if name not in entries:
            raise UserError(f"{module.__file__} must define one subclass of {self.base.__name__}")
        return entries[name]

    def module(self, name: str) -> str:
        """The module that defines the entry, where a fingerprint starts."""
        return self.load(name).__module__

    def defined_in(self, module: ModuleType) -> dict[str, type[T]]:
        """Name -> entry, for the entries of one module."""
        kinds = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, self.base) and value.__module__ == module.__name__
        ]
        stem = module.__name__.rpartition(".")[2]
        public = [kind for kind in kinds if not kind.__name__.startswith("_")]
        named = {kind: vars(kind).get("names", stem) for kind in public}
        found = {name: kind for kind, names in named.items() for name in ([names] if isinstance(names, str) else names)}
        unnamed = [kind for kind in public if "names" not in vars(kind)]
        if len(unnamed) > 1:
            listed = ", ".join(kind.__name__ for kind in unnamed)
            raise UserError(f"{module.__file__}: give {listed} a class attribute `names`, or a file each")
        return found

    def _own(self) -> dict[str, str]:
        """Name -> module, of this package."""
        if not self._files:
            package = importlib.import_module(self.package)
            stems = [one.name for one in pkgutil.iter_modules(package.__path__)]
            entries = [stem for stem in stems if not stem.startswith("_") and stem not in self._not_entries]
            for stem in entries:
                module = f"{self.package}.{stem}"
                names = self.defined_in(importlib.import_module(module)) if stem in self._renamed else (stem,)
                self._files |= dict.fromkeys(names, module)
        return self._files

    def _of_plugins(self) -> dict[str, type[T]]:
        found: dict[str, type[T]] = {}
        for module in plugins.modules():
            for name, kind in self.defined_in(module).items():
                if name in found or name in self._own():
                    raise UserError(f"{module.__file__}: there is a {self.what} {name!r} already; choose another name")
                found[name] = kind
        return found
