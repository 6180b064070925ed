"""What the methods page says: each method's own docstring, which cites the equations, and where it comes from."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import yaml

from semiseg.report import names

SOURCES = Path(__file__).resolve().parents[2] / "methods"
REFERENCES = Path(__file__).with_name("references.yaml")


@dataclass(frozen=True)
class Described:
    name: str
    title: str
    summary: str
    text: str
    reference: str
    note: str


def described(used: set[str]) -> list[Described]:
    """The methods that a suite uses, in the order of all tables."""
    references = yaml.safe_load(REFERENCES.read_text())
    ordered = [*names.METHODS, *sorted(used - set(names.METHODS))]
    found = []
    for name in (name for name in ordered if name in used):
        path = SOURCES / f"{name}.py"
        doc = ast.get_docstring(ast.parse(path.read_text())) if path.exists() else None
        summary, _, text = (doc or "").partition("\n\n")
        entry = references.get(name, {})
        title = names.METHODS.get(name, name)
        found.append(Described(name, title, summary, text, entry.get("reference", ""), entry.get("note", "")))
    return found
