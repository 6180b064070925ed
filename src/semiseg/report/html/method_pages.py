"""What a page says of a method: the docstring of its file, with the formulas, the source, and what goes wrong."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from semiseg import methods
from semiseg.report import names

SECTIONS = ("Reference", "Known to go wrong")


@dataclass(frozen=True)
class Described:
    name: str
    title: str
    fidelity: str
    batch_norm: str
    summary: str
    text: str  # formulas and what else the docstring says
    reference: str
    known_to_go_wrong: tuple[str, ...]


def described(used: set[str]) -> list[Described]:
    """The methods that a suite uses, in the order of all tables; one whose file is not here has its name alone."""
    known = names.in_order()
    return [describe(name) for name in known if name in used] + [
        Described(name, name, "", "", "", "", "", ()) for name in sorted(used - set(known))
    ]


def describe(name: str) -> Described:
    kind = methods.load(name)
    doc = ast.get_docstring(ast.parse(Path(sys.modules[kind.__module__].__file__).read_text())) or ""
    body, sections = _sections(doc)
    summary, _, text = body.partition("\n\n")
    wrong = tuple(" ".join(one.split()) for one in re.split(r"^- ", sections.get("Known to go wrong", ""), flags=re.M))
    return Described(
        name, names.title(name), kind.fidelity, kind.batch_norm, " ".join(summary.split()), text.strip(),
        " ".join(sections.get("Reference", "").split()), tuple(filter(None, wrong)),
    )  # fmt: skip


def _sections(doc: str) -> tuple[str, dict[str, str]]:
    """The docstring up to the first of the sections that end it, and these."""
    body, *rest = re.split(rf"^({'|'.join(SECTIONS)}):", doc, flags=re.MULTILINE)
    return body.strip(), dict(zip(rest[::2], rest[1::2], strict=True))
