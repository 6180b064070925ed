"""Write the tables of README.md: between its markers stands the first table of that study's own page.

python scripts/readme_table.py
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- /results -->)", re.DOTALL)


def first_table(page: str) -> str:
    """The lines of the page's first Markdown table."""
    return re.search(r"(?:^\|.*\n)+", page, re.MULTILINE).group()


def filled(readme: str, root: Path = ROOT) -> str:
    """The README with each marked table as its study has it now."""
    return MARKED.sub(
        lambda found: found[1] + first_table((root / "results" / found[2] / "README.md").read_text()) + found[3], readme
    )


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text()))
