"""Links of our Markdown lead somewhere, names in links to code are defined there, and the site builds as it should."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from semiseg.report import rebuild
from tests.report import studies

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\[[^\]]*\])\(([^)\s]+)\)")


def pages() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def links(page: Path) -> list[tuple[str, Path]]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = ((words, place.partition("#")[0]) for words, place in LINK.findall(text))
    return [(words, page.parent / place) for words, place in found if place and "://" not in place]


def test_every_link_leads_to_a_file():
    broken = [f"{page.relative_to(ROOT)}: {target}" for page in pages() for _, target in links(page)
              if not target.exists()]  # fmt: skip
    assert broken == []


def test_names_in_links_to_code_are_defined_there():
    page = ROOT / "docs/how-a-number-is-made.md"
    named = [(words.strip("[]`"), target) for words, target in links(page) if target.suffix == ".py"]
    assert len(named) >= 20
    defined = {target: re.findall(r"^(?:def|class) (\w+)", target.read_text(), re.MULTILINE) for _, target in named}
    assert [name for name, target in named if name not in defined[target]] == []


def test_the_glossary_has_a_sentence_for_each_word_in_order():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)[1:]
    words = [word.lower() for word, _ in rows]
    assert len(words) > 30 and words == sorted(set(words))
    assert [text for _, text in rows if not text.endswith(".") or re.search(r"\. [A-Z]", text)] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_the_docs_their_search_and_the_code_that_they_link_to(site):
    for name in ("index.html", "glossary.html", "methods/unimatch.html", "params.html", "results/index.html"):
        assert (site / name).exists(), name
    assert "leading group" in (site / "search/search_index.js").read_text()
    page = (site / "how-a-number-is-made.html").read_text()
    to_code = r'href="?(code/src/semiseg/scoring/selection\.py\.html)#(__codelineno-0-\d+)"?[^>]*><code>mean_iou'
    [way] = set(re.findall(to_code, page))
    assert way[1] in (site / way[0]).read_text()


def test_formulas_are_typeset_in_the_site(site):
    page = (site / "methods/unimatch.html").read_text()
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in page and "language-math" not in page
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">' in page and "$<code>" not in page
    assert "formulas.css" in page and "mtd" in (site / "assets/formulas.css").read_text()


def test_pages_of_the_site_ask_no_other_host(site):
    page = (site / "index.html").read_text()
    loaded = re.findall(r'<(?:script|img)[^>]* src="?([^" >]+)', page)
    loaded += re.findall(r'<link rel="?(?:stylesheet|preconnect|icon)"? href="?([^" >]+)', page)
    assert len(loaded) > 3 and not [one for one in loaded if one.startswith(("http", "//"))]


def test_reports_of_studies_with_stored_evaluations_are_in_the_site(tmp_path, monkeypatch):
    folders = {name: tmp_path / "results" / name for name in ("pocket", "camvid")}
    methods = {"supervised": (0.0, "student")}
    planned = studies.descriptions(seeds=1, ablations=False, methods=methods, partitions={"12": 12})
    for folder in folders.values():
        rebuild.rebuild(folder, studies.simulate(folder, planned, images=4, pictures=0))
    (folders["camvid"] / "evaluations.npz").unlink()
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = runpy.run_path(str(ROOT / "scripts/site_reports.py"))
    assert script["write"](tmp_path / "site", list(folders.values())) == ["pocket"]
    assert "pocket/report/index.html" in (tmp_path / "site/reports/index.html").read_text()
    assert (tmp_path / "site/reports/pocket/report/tables.html").exists()
    assert not (tmp_path / "site/reports/camvid").exists()
