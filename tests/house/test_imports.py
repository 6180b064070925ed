"""Imports go one way, without a circle, and no two modules have the same name."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "src/semiseg"
# From the top to the bottom: a room imports rooms below it alone.
ROOMS = (
    "__main__", "cli", "commands", "bench", "advice", "study", "report", "cluster", "engine", "inference", "params",
    "scoring", "runs", "methods", "models", "hardware", "views", "datasets", "feed", "splits", "base",
)  # fmt: skip
MOST_FILES = 16


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(("semiseg", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        found[name] = path
    return found


def imported(node: ast.AST) -> Iterator[str]:
    """Modules of this package that a file imports, also within functions; not those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name in modules())
        elif isinstance(child, ast.ImportFrom) and (child.module or "").startswith("semiseg"):
            for alias in child.names:
                name = f"{child.module}.{alias.name}"
                yield name if name in modules() else child.module
        yield from imported(child)


@cache
def graph() -> dict[str, set[str]]:
    return {name: {*imported(ast.parse(path.read_text()))} - {name} for name, path in modules().items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_no_circle_of_files():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")


def test_no_arrow_runs_back_up():
    level = {name: place for place, name in enumerate(ROOMS)}
    back = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in others
        if room(module) and room(other) and room(module) != room(other) and level[room(module)] >= level[room(other)]
    ]
    assert not back, "\n".join(back)


def test_every_room_has_its_place():
    rooms = {room(name) for name in modules()} - {""}
    assert rooms == set(ROOMS)


def test_no_module_name_twice():
    # Commands, entries of a registry and tables are called as users write them.
    free = {"commands", "architectures", "kinds", "metrics", "tables"}
    paths = [path for path in modules().values() if path.stem != "__init__" and path.parent.name not in free]
    assert not {name: count for name, count in Counter(path.stem for path in paths).items() if count > 1}


def test_no_folder_is_too_full():
    files = defaultdict(int)
    for path in modules().values():
        files[path.parent.relative_to(ROOT).as_posix()] += path.name != "__init__.py"
    files.pop("methods")  # one file for each method
    files.pop("commands")  # and for each command
    assert not {folder: count for folder, count in files.items() if count > MOST_FILES}
