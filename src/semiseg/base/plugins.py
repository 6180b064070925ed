"""User files that add methods, kinds of data set, architectures or metrics.

`plugins:` in params.yaml and in params.local.yaml lists them; the lists are joined. By default every process uses the
files that these two name in the current folder.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from semiseg.base.errors import UserError

AFFECTS_RESULTS = False

PREFIX = "semiseg_plugins"
FILES = ("params.yaml", "params.local.yaml")
_named: dict[Path, str] | None = None  # file -> where it is listed, for messages
_loaded: dict[Path, ModuleType] = {}


def use(paths: Mapping[Path, str] | Iterable[Path] | None) -> None:
    """Use these files from now on; None: those that params.yaml and params.local.yaml name."""
    global _named
    places = paths if isinstance(paths, Mapping) else dict.fromkeys(paths or (), "plugins")
    _named = None if paths is None else {path.resolve(): place for path, place in places.items()}


def modules() -> list[ModuleType]:
    return [_load(path, place) for path, place in (_of_params() if _named is None else _named).items()]


def path_of(module: str) -> Path | None:
    """The file of a module that is a plugin."""
    return next((path for path, loaded in _loaded.items() if loaded.__name__ == module), None)


def listed(contents: Mapping[Path, Any]) -> dict[Path, str]:
    """Every plugin once, and where it is listed; `contents` has what params.yaml and params.local.yaml hold."""
    found: dict[Path, str] = {}
    for file, content in contents.items():
        names = content.get("plugins", []) if isinstance(content, dict) else []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{file}: plugins: expected a list of Python files, found {names!r}")
        for name in names:
            found.setdefault((file.parent / name).resolve(), f"{file}: plugins")
    return found


def _of_params() -> dict[Path, str]:
    files = [Path(name) for name in FILES]
    return _in_folder(Path.cwd(), tuple(path.stat().st_mtime_ns if path.is_file() else None for path in files))


@functools.lru_cache(maxsize=1)
def _in_folder(folder: Path, times: tuple[int | None, ...]) -> dict[Path, str]:
    """The files are read again if one of them or the current folder changes."""
    contents = {}
    for name, time in zip(FILES, times, strict=True):
        text = "" if time is None else (folder / name).read_text()
        contents[folder / name] = yaml.safe_load(text) if "plugins:" in text else None
    return listed(contents)


def _load(path: Path, place: str) -> ModuleType:
    if path in _loaded:
        return _loaded[path]
    name = f"{PREFIX}.{path.stem}"
    twin = path_of(name)
    if twin is not None:
        raise UserError(f"{place}: {path} and {twin} have the same name; rename one of them")
    if not path.is_file():
        raise UserError(f"{place}: {path} does not exist")
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise UserError(f"{place}: {path} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{place}: {path} cannot be imported: {type(error).__name__}: {error}") from error
    _loaded[path] = module
    return module
