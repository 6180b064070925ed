"""User files that add methods, kinds of data set, architectures or metrics: `plugins:` in params.yaml.

By default every process uses the files that params.yaml in the current folder names.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import yaml

from semiseg.base.errors import UserError

AFFECTS_RESULTS = False

PREFIX = "semiseg_plugins"
FILES = ("params.yaml", "params.local.yaml")
_named: list[Path] | None = None
_loaded: dict[Path, ModuleType] = {}


def use(paths: Iterable[Path] | None) -> None:
    """Use these files from now on; None: those that params.yaml names."""
    global _named
    _named = None if paths is None else [path.resolve() for path in paths]


def modules() -> list[ModuleType]:
    return [_load(path) for path in (_of_params() if _named is None else _named)]


def path_of(module: str) -> Path | None:
    """The file of a module that is a plugin."""
    return next((path for path, loaded in _loaded.items() if loaded.__name__ == module), None)


def _of_params() -> list[Path]:
    files = [Path(name) for name in FILES]
    return _listed(Path.cwd(), tuple(path.stat().st_mtime_ns if path.is_file() else None for path in files))


@functools.lru_cache(maxsize=1)
def _listed(folder: Path, times: tuple[int | None, ...]) -> list[Path]:
    """The lists of both files; they are read again if a file or the current folder changes."""
    found: list[Path] = []
    for name, time in zip(FILES, times, strict=True):
        text = "" if time is None else (folder / name).read_text()
        content = yaml.safe_load(text) if "plugins:" in text else None
        if isinstance(content, dict) and isinstance(content.get("plugins"), list):
            found += [(folder / one).resolve() for one in content["plugins"]]
    return list(dict.fromkeys(found))


def _load(path: Path) -> ModuleType:
    if path in _loaded:
        return _loaded[path]
    name = f"{PREFIX}.{path.stem}"
    twin = path_of(name)
    if twin is not None:
        raise UserError(f"plugins: {path} and {twin} have the same name; rename one of them")
    if not path.is_file():
        raise UserError(f"plugins: {path} does not exist")
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise UserError(f"plugins: {path} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"plugins: {path} cannot be imported: {type(error).__name__}: {error}") from error
    _loaded[path] = module
    return module
