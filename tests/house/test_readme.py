"""README's tables are those of the published studies."""

from __future__ import annotations

from pathlib import Path

from scripts import readme_table

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
