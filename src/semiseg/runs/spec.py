"""A run is known by its spec: everything that determines its result, and nothing else.

Configuration, data, list of labelled images, seed, and a fingerprint of the code that matters. File times and hidden
metadata decide nothing; versions and hardware are recorded but do not make a finished run stale.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from semiseg.files import sha256_bytes, sha256_json

PACKAGE = Path(__file__).resolve().parents[1]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
UNREAD = {"kind", "type_comment", "type_ignores", "ctx"}
MARK = "AFFECTS_RESULTS"  # a module that says `AFFECTS_RESULTS = False` can change without retraining anything


def make_spec(config: dict[str, Any], data: str | None, split: str | None) -> dict[str, Any]:
    """The wanted spec of a run; `data` and `split` are None while nobody has made them yet."""
    return {"config": config, "data": data, "split": split, "code": training_fingerprint(config["method"]["name"])}


def spec_sha256(spec: dict[str, Any]) -> str:
    return sha256_json(spec)


def differences(old: dict[str, Any] | None, new: dict[str, Any]) -> list[str]:
    """What a person wants to read when a run is not up to date."""
    if old is None:
        return ["it has not been trained"]
    reasons = [
        f"parameter {path}: {before!r} -> {after!r}" for path, before, after in _leaves(old["config"], new["config"])
    ]
    for key, words in (("data", "the data set changed"), ("split", "the list of labelled images changed")):
        if old.get(key) != new.get(key):
            reasons.append(words if new.get(key) else f"{words.split(' changed')[0]} is not prepared yet")
    changed = [name for name in sorted({*old["code"], *new["code"]}) if old["code"].get(name) != new["code"].get(name)]
    if changed:
        reasons.append(f"code changed in {', '.join(changed)}")
    return reasons


def _leaves(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _leaves(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


@functools.cache
def training_fingerprint(method: str) -> dict[str, str]:
    """Module -> hash, for every module that a training of this method imports."""
    return fingerprint("semiseg.engine.train", f"semiseg.methods.{method}")


def fingerprint(*modules: str, of_training: bool = True) -> dict[str, str]:
    """Hashes of the modules and of all that they import from this package, comments and docstrings left out.

    Modules that say `AFFECTS_RESULTS = False` speak of trainings only: the code of scores and tables counts them.
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
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All below this one; no import hides in an expression, and those are most of a tree."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        below = getattr(node, block, None)
        for child in below if isinstance(below, list) else ():
            yield child
            yield from _statements(child)


def _imported(node: ast.AST) -> Iterator[str]:
    """Modules of this package that an import statement names, wherever in the file it stands."""
    if isinstance(node, ast.Import):
        candidates = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        return
    for candidate in candidates:
        if candidate.startswith("semiseg.") and _path(candidate).exists():
            yield candidate


def _skeleton(node: Any) -> Any:
    """The tree without docstrings and positions, written the same way by every version of Python.

    `ast.dump` differs between versions (new fields, left-out empty lists), which would retrain after an upgrade.
    """
    if isinstance(node, ast.AST):
        fields = []
        for name in _fields(type(node)):
            value = getattr(node, name, None)
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
