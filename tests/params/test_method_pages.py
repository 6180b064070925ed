"""docs/methods agrees with the methods' files, the published figures and the committed results.

A method without a page is not in the documentation yet, which breaks nothing: the scripts in scripts/ add it.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from semiseg import methods

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/methods"


def documented() -> list[str]:
    """The methods that have a page: the reference of params.yaml and its JSON schema name these."""
    return sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        return runpy.run_path(str(ROOT / "scripts/method_pages.py"))


def test_the_pages_are_current(script):
    found = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
    assert found == script["pages"](documented()), "type `python scripts/method_pages.py`"


def test_a_page_has_formula_options_figures_and_what_goes_wrong(script):
    page = script["pages"]()["unimatch.md"]
    for text in (
        "```math\nL = \\tfrac12 (L_x + 0.25 L_{s1}",
        "$`L_{s1}`$ and $`L_{s2}`$ of the two strong views",
        "| `confidence` | number | `0.95` | paper: 0.95 on VOC",
        "Known to go wrong",
    ):
        assert text in page
    assert "92: 75.2, 183: 77.2" in page, "the README's figures"
    assert "run 1" not in page.split("## Our results")[0], "single runs and re-runs are no official results"
    assert "our reading" in script["pages"]()["scl.md"].split("## Formula")[0]


def test_the_baseline_sees_unlabelled_images_in_one_variant_only(script):
    found = script["pages"]()
    [row] = [line for line in found["supervised.md"].splitlines() if line.startswith("| batch norm |")]
    assert "only the variant `bn` sees unlabelled images" in row and "official" not in row
    assert "| joint (variant `bn`) |" in found["README.md"] and "(official; " in found["fixmatch.md"]


def test_a_staged_method_says_what_it_takes(script):
    page = script["pages"]()["st_plus_plus.md"]
    assert "first student (`st_plus_plus`), teacher (`supervised`)" in page
    # A student's step has twice the images of the teacher's.
    assert "a step takes 2.0 times that of `supervised`, 5.0 times with one of each run that it needs" in page


def test_a_method_without_a_page_is_left_out_until_it_is_asked_for(script):
    some = set(methods.names()) - {"unimatch"}
    assert set(script["pages"](some)) == {"README.md", *(f"{name}.md" for name in some)}
    assert "unimatch.md" in script["pages"]() and "unimatch.md" not in script["pages"](some)["README.md"]
