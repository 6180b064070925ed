"""Hashes of the code that a result depends on: modules and what they import.

Comments, docstrings and the messages of errors do not count.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from semiseg.base import plugins
from semiseg.base.files import sha256_bytes

PACKAGE = Path(__file__).resolve().parents[1]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
UNREAD = {"kind", "type_comment", "type_ignores", "ctx"}
MARK = "AFFECTS_RESULTS"  # a module that says `AFFECTS_RESULTS = False` can change without retraining anything


def fingerprint(*modules: str, of_training: bool = True) -> dict[str, str]:
    """Hashes of the modules and of all that they import from this package, comments and docstrings left out.

    Modules that say `AFFECTS_RESULTS = False` are left out for trainings only; for scores and tables they count.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        digest, imports, matters = _module(name)
        matters = matters or not of_training
        found[name] = digest if matters else ""
        waiting.extend(imports if matters else ())
    return {name: digest for name, digest in sorted(found.items()) if digest}


@functools.cache
def _module(name: str) -> tuple[str, tuple[str, ...], bool]:
    path = _path(name)
    tree = ast.parse(path.read_text())
    imports = tuple(sorted({found for node in _statements(tree) for found in _imported(node)} - {name}))
    matters = not any(
        isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == MARK for target in node.targets)
        and isinstance(node.value, ast.Constant)
        and node.value.value is False
        for node in tree.body
    )
    return sha256_bytes(repr(_skeleton(tree)).encode())[:16], imports, matters


def _path(module: str) -> Path:
    plugin = plugins.path_of(module)
    if plugin is not None:
        return plugin
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def file_of(module: str) -> str:
    """The module's file, as a path from the root of the repository."""
    path, root = _path(module), PACKAGE.parents[1]
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below this node. Expressions, which are most of a tree, hold no imports and are skipped."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        below = getattr(node, block, None)
        for child in below if isinstance(below, list) else ():
            yield child
            yield from _statements(child)


def _imported(node: ast.AST) -> Iterator[str]:
    """Modules of this package that an import statement names."""
    if isinstance(node, ast.Import):
        candidates = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        return
    for candidate in candidates:
        if candidate.startswith("semiseg.") and _path(candidate).exists():
            yield candidate


def _unworded(error: Any) -> Any:
    """An error's type: a new message must not make a run stale."""
    return error.func if isinstance(error, ast.Call) else error


def _skeleton(node: Any) -> Any:
    """The tree without docstrings, messages of errors and positions, written the same way by every version of Python.

    `ast.dump` differs between versions (new fields, left-out empty lists), which would retrain after an upgrade.
    """
    if isinstance(node, ast.AST):
        fields = []
        for name in _fields(type(node)):
            value = getattr(node, name, None)
            if isinstance(node, ast.Raise) and name == "exc":
                value = _unworded(value)
            if name == "body" and isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                value = value[1:]
            if value is not None and value != []:
                fields.append((name, _skeleton(value)))
        return (type(node).__name__, tuple(fields))
    if isinstance(node, list):
        return tuple(_skeleton(item) for item in node)
    return repr(node)


@functools.cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    return tuple(sorted(set(kind._fields) - UNREAD))
