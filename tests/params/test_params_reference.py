"""docs/params.md agrees with the schema."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.params.test_method_pages import documented

ROOT = Path(__file__).parents[2]


def test_the_page_is_that_of_the_schema():
    script = runpy.run_path(str(ROOT / "scripts/params_reference.py"))
    page = (ROOT / "docs/params.md").read_text()
    assert page == script["page"](documented()), "type `python scripts/params_reference.py`"
    assert "| `gpus` | integer | `1` |" in page
