"""docs/findings.md: each figure that it states is one of the table that its sentence links."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from semiseg.study.suite_proposal import recommended

DOCS = Path(__file__).parents[2] / "docs"
LINK = re.compile(r"\]\(([^)#]+)\)")
FIGURE = re.compile(r"(?<![\w/.-])[+-]?\d+\.\d+")
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def sentences(text: str) -> list[str]:
    """The list's entries, each with its figures and its links."""
    return [" ".join(entry.split()) for entry in re.split(r"\n- |\n\n", text) if LINK.search(entry)]


def unfounded(entry: str) -> list[str]:
    """Figures of the entry that none of its tables has, to the digits that it gives."""
    tables = [DOCS / link for link in LINK.findall(entry) if link.endswith(".csv")]
    known = [float(number) for table in tables for number in NUMBER.findall(table.read_text())]
    return [
        figure for figure in FIGURE.findall(LINK.sub("](", entry))
        if not any(f"{value:.{len(figure.split('.')[1])}f}" == f"{abs(float(figure)):.{len(figure.split('.')[1])}f}"
                   for value in map(abs, known))
    ]  # fmt: skip


@pytest.mark.parametrize("entry", sentences((DOCS / "findings.md").read_text()), ids=lambda entry: entry[:40])
def test_a_figure_stands_in_the_table_that_is_linked(entry):
    assert all((DOCS / link).exists() for link in LINK.findall(entry) if "://" not in link)
    assert unfounded(entry) == []


def test_a_wrong_figure_is_found(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b\n4.0832,-1.26\n")
    assert unfounded(f"It is +4.1 [-1.3, +4.08], says [the table]({table}).") == []
    assert unfounded(f"It is +4.2, says [the table]({table}).") == ["+4.2"]


def test_no_sentence_with_a_figure_lacks_a_table():
    text = (DOCS / "findings.md").read_text()
    entries = [" ".join(one.split()) for one in re.split(r"\n- |\n\n", text)]
    assert [one for one in entries if FIGURE.search(one) and ".csv)" not in one] == []


def test_data_init_recommends_methods_that_are_safe_and_one_that_gains_most():
    """Of methods with five lists: two whose smaller gain, with 10 or 20 labels, is largest; the best with 20 labels."""
    table = DOCS.parent / "results/oxford_pets/tables/comparison_over_lists.csv"
    rows = [row for row in csv.DictReader(table.open())
            if row["delta_vs_supervised"] and row["method"] != "supervised" and row["head"] == "pixel"]  # fmt: skip
    gains: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["variant"] in ("default", "adv_semi") and int(row["seeds"]) >= 3:
            gains.setdefault(row["method"], {})[row["partition"]] = float(row["delta_vs_supervised"])
    both = {method: min(found.values()) for method, found in gains.items() if {"10", "20"} <= found.keys()}
    often = {labels: [row["method"] for row in rows if row["partition"] == labels and int(row["seeds"]) == 5]
             for labels in ("10", "20")}  # fmt: skip
    safe = sorted({*often["10"], *often["20"]} & both.keys(), key=both.get, reverse=True)[:2]
    assert recommended() == [*safe, max(often["20"], key=lambda method: gains[method]["20"])]
