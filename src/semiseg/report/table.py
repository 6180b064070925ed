"""A table: rows of plain values, and how they are shown. Written as CSV, Markdown, LaTeX and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.report import names
from semiseg.runs.needs import NOT_RUN

Row = Mapping[str, Any]
MISSING = "–"


@dataclass(frozen=True)
class View:
    """A column as people see it: a title, the keys it is made of, and how they become text."""

    title: str
    keys: tuple[str, ...]
    kind: str = "text"  # one of FORMATS
    digits: int = 1
    help: str = ""
    bold: bool = False  # shows the row's `bold`

    def of(self, row: Row) -> bool:
        """Does the row have something to show here?"""
        return row.get(self.keys[0]) not in (None, "")

    def text(self, row: Row) -> str:
        if self.kind == "state" and (row.get("reason") or "").startswith(NOT_RUN):
            return row["reason"]
        return FORMATS[self.kind]([row.get(key) for key in self.keys], self.digits) if self.of(row) else MISSING


# A split is a family and a list: every table that names one shows which list.
LISTED = View("sha256", ("split_sha256",), "hash", help="of the sorted labelled ids; of several lists, of their hashes")


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _mean_sd(values: Sequence[Any], digits: int) -> str:
    mean, sd = values
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd is not None else "")


def _interval(values: Sequence[Any], digits: int) -> str:
    estimate, low, high = (round(value, digits) + 0.0 if value is not None else None for value in values)
    limits = f" [{low:+.{digits}f}, {high:+.{digits}f}]" if low is not None else ""
    return f"{estimate:+.{digits}f}{limits}"


def _figure(values: Sequence[Any], digits: int) -> str:
    estimate, low, high = values
    return f"{estimate:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if low is not None else "")


FORMATS = {
    "figure": _figure,
    "label": lambda values, _: names.label(*values),
    "text": lambda values, _: " ".join(_word(value) for value in values if value not in (None, "")),
    "figure_of": lambda values, digits: f"{values[0]:.{digits}f} ({values[1]})",
    "share": lambda values, _: f"{values[0]} of {values[1]}",
    "number": lambda values, digits: f"{values[0]:,.{digits}f}",
    "mean_sd": _mean_sd,
    "interval": _interval,
    "signed": lambda values, digits: f"{values[0]:+.{digits}f}",
    "p": lambda values, _: "< 0.001" if values[0] < 0.001 else f"{values[0]:.3f}",
    "hash": lambda values, _: str(values[0])[:8],
    "state": lambda values, _: str(values[0]).replace("_", " "),
}


WORDS = ("text", "label", "hash", "state")  # kinds of columns that hold words and not figures


@dataclass(frozen=True)
class Table:
    """`columns` are the keys of the CSV, `views` what a page shows; the note says what the numbers cover."""

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    views: tuple[View, ...]
    rows: tuple[Row, ...]
    note: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def alike(self, least: int = 3) -> list[tuple[str, str]]:
        """(title, text) of the columns of words that say the same in every row: a page says it once."""
        if len(self.rows) < least:
            return []
        found = ((view.title, {view.text(row) for row in self.rows}) for view in self.views if view.kind in WORDS)
        return [(title, texts.pop()) for title, texts in found if len(texts) == 1]

    def csv(self) -> str:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_csv_value(row.get(column)) for column in self.columns] for row in self.rows)
        return buffer.getvalue()

    def markdown(self) -> str:
        head = f"**{escape_markdown(self.title)}.** {escape_markdown(self.caption)}"
        parts = [head, markdown_table(self.views, self.rows)]
        return "\n\n".join([*parts, *([escape_markdown(self.note)] if self.note else [])]) + "\n"

    def latex(self) -> str:
        import pandas as pd

        texts = [
            _marked(self.views, row, [escape_latex(view.text(row)) for view in self.views], r"\textbf{{{}}}")
            for row in self.rows
        ]
        shown = pd.DataFrame(texts, columns=[escape_latex(view.title) for view in self.views])
        return shown.style.hide(axis="index").to_latex(
            caption=escape_latex(self.caption), label=f"tab:{self.name.replace('_', '-')}", hrules=True,
            position_float="centering",
            column_format="".join("l" if view.kind in WORDS else "r" for view in self.views),
        )  # fmt: skip

    def write(self, folder: Path) -> None:
        """CSV, Markdown and LaTeX, and JSON, from which plots and pages are made."""
        files.write_text(folder / f"{self.name}.csv", self.csv())
        files.write_text(folder / f"{self.name}.md", self.markdown())
        files.write_text(folder / f"{self.name}.tex", self.latex())
        files.write_json(folder / f"{self.name}.json", _rounded(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Table:
        if not path.exists():
            raise UserError(f"{path} is missing; run `semiseg report tables` first")
        stored = files.read_json(path)
        views = tuple(View(**{**view, "keys": tuple(view["keys"])}) for view in stored["views"])
        return cls(**{**stored, "columns": tuple(stored["columns"]), "views": views, "rows": tuple(stored["rows"])})


def markdown_table(views: Sequence[View], rows: Sequence[Row]) -> str:
    lines = [_markdown_row(view.title for view in views), "|" + "---|" * len(views)]
    for row in rows:
        cells = [escape_markdown(view.text(row)) for view in views]
        lines.append(_markdown_row(_marked(views, row, cells, "**{}**")))
    return "\n".join(lines)


def read_all(folder: Path) -> dict[str, Table]:
    """Every table of a folder by name, in the order that its builder gave."""
    names = files.read_json(folder / "index.json") if (folder / "index.json").exists() else []
    return {name: Table.read(folder / f"{name}.json") for name in names}


def _csv_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, ".6g") if isinstance(value, float) else str(value)


def _rounded(value: Any) -> Any:
    """Ten significant digits: more than the figures need, without the last bits, in which platforms differ."""
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return float(format(value, ".10g")) if isinstance(value, float) else value


def _marked(views: Sequence[View], row: Row, cells: Sequence[str], mark: str) -> list[str]:
    return [
        mark.format(cell) if view.bold and row.get("bold") else cell for view, cell in zip(views, cells, strict=True)
    ]


def _markdown_row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def escape_markdown(text: str) -> str:
    for character in "\\|*<>`":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "−": "$-$", "λ": r"$\lambda$",
    "×": r"$\times$", "<": r"\textless{}", ">": r"\textgreater{}", "\n": " ",
}  # fmt: skip


def escape_latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
