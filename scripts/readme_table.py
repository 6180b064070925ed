"""Write the tables of README.md: copy the longest table of each study's page between the markers.

python scripts/readme_table.py
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- /results -->)", re.DOTALL)


def longest_table(page: str) -> str:
    """The Markdown table with most rows: that of the number of labels with which most methods are compared."""
    return max(re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE), key=lambda table: table.count("\n"))


def filled(readme: str, root: Path = ROOT) -> str:
    """The README with the current table of each study."""

    def table(found: re.Match[str]) -> str:
        return found[1] + longest_table((root / "results" / found[2] / "README.md").read_text()) + found[3]

    return MARKED.sub(table, readme)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text()))
