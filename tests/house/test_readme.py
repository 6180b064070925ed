"""README's tables are those of the published studies, and its methods are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

from scripts import readme_table
from semiseg import methods
from tests.params.test_method_pages import documented

README = Path(__file__).parents[2] / "README.md"


def test_the_tables_are_those_of_the_studies():
    text = README.read_text()
    assert readme_table.MARKED.search(text), "README shows no study"
    assert readme_table.filled(text) == text, "run scripts/readme_table.py"


def test_another_figure_is_noticed(tmp_path):
    page = tmp_path / "results" / "made" / "README.md"
    page.parent.mkdir(parents=True)
    page.write_text("# made\n\n| a |\n|---|\n| 1.0 |\n\nmore\n")
    marked = "x\n<!-- results:made -->\n| a |\n|---|\n| 2.0 |\n<!-- /results -->\ny\n"
    assert readme_table.filled(marked, tmp_path) == marked.replace("2.0", "1.0")


def test_the_methods_are_listed_with_their_fidelity():
    table = README.read_text().split("## Methods")[1].split("\n##")[0]
    rows = [row.strip("|").split("|") for row in table.splitlines() if row.startswith("| `")]
    listed = {name: row[-1].strip() for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert listed == {name: methods.load(name).fidelity for name in listed}
    assert set(documented()) <= set(listed), "a method has a page, and README does not name it"
