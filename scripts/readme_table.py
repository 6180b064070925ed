"""Write the tables of README.md: copy the first table of each study's page between the markers.

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
    """The README with the current table of each study."""
    return MARKED.sub(
        lambda found: found[1] + first_table((root / "results" / found[2] / "README.md").read_text()) + found[3], readme
    )


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text()))
