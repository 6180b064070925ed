"""Files for download: every table as CSV and LaTeX, the records, and the papers as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from semiseg import methods
from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.report.html import method_pages
from semiseg.report.table import Table
from semiseg.report.tables import headline

YEAR = re.compile(r"\b(?:19|20)\d\d\b(?!\.\d)")  # and not the number of a preprint


def write(suite_dir: Path, report: Path, tables: dict[str, Table], used: Iterable[str]) -> list[tuple[str, str]]:
    """Copy them into report/downloads, beside the pages; returns (words, link) of the main ones."""
    folder = report / "downloads"
    for table in tables.values():
        files.write_text(folder / f"{table.name}.csv", table.csv())
        files.write_text(folder / f"{table.name}.tex", table.latex())
    files.write_bytes(folder / "records.jsonl", (suite_dir / "records.jsonl").read_bytes())
    files.write_text(folder / "methods.bib", bibtex(used))
    first = headline(tables).name
    return [
        ("Comparison as CSV", f"downloads/{first}.csv"), ("Comparison as LaTeX", f"downloads/{first}.tex"),
        ("Records of all runs (JSON lines)", "downloads/records.jsonl"), ("Papers as BibTeX", "downloads/methods.bib"),
    ]  # fmt: skip


def bibtex(used: Iterable[str]) -> str:
    """An entry for each method whose file names a paper."""
    return "\n".join(filter(None, (_entry(name) for name in sorted(used))))


def _entry(name: str) -> str:
    """From `Authors: Title. Venue year.`, as the docstrings of the methods have it."""
    try:
        reference = method_pages.describe(name).reference
    except UserError:  # the method is not here any more
        return ""
    authors, _, rest = reference.partition(": ")
    title, _, venue = rest.partition(". ")
    if not venue:
        return ""
    venue = venue.partition(" Code: ")[0].rstrip(". ")
    people = authors.removesuffix(" et al.").replace(" and ", ", ").split(", ")
    written = " and ".join([*people, *(["others"] if authors.endswith("et al.") else [])])
    years = YEAR.findall(venue)
    fields = {
        "author": written, "title": f"{{{title}}}", "howpublished": venue,
        "year": years[0] if years else str(methods.load(name).year),
    }  # fmt: skip
    lines = ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items())
    return f"@misc{{{name},\n{lines}\n}}\n"
