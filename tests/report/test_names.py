"""Names of methods: as their files say, in the order of their papers, and none that claims too much."""

from __future__ import annotations

import re

import pytest

from semiseg import methods
from semiseg.report import names
from semiseg.report.html import formulas
from semiseg.report.html.method_pages import describe, described


def test_a_reading_of_our_own_says_so_wherever_it_is_named():
    ours = {name for name in methods.names() if methods.load(name).fidelity == "our reading"}
    assert {"scl", "rc2l"} <= ours
    for name in methods.names():
        assert ("(our reading" in names.label(name)) == (name in ours)
        assert ("(our reading" in names.label(name, "control=oracle")) == (name in ours)
    assert names.label("scl", "scope=full") == "SCL (our reading; scope=full)"
    assert names.label("unimatch", "dropout=0.2") == "UniMatch (dropout=0.2)"
    assert names.label("gone") == "gone", "a method of an older study that is not here any more"


def test_methods_stand_in_the_order_of_their_papers():
    ordered = names.in_order()
    assert ordered[0] == "supervised" and sorted(ordered) == methods.names()
    assert ordered.index("mean_teacher") < ordered.index("cps") < ordered.index("unimatch")
    ranks = [names.rank({"method": name, "variant": "default"}) for name in (*ordered, "gone")]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("name", methods.names())
def test_every_file_says_its_formula_its_source_and_what_goes_wrong(name):
    found = describe(name)
    assert re.search(r"\$\$\s+(\\begin{split}\s+)?L\S* = ", found.text) and found.known_to_go_wrong
    assert bool(found.reference) == (name != "supervised")
    told = "used here:" in found.text
    assert told == (found.fidelity == "our reading"), "a reading of our own lists what of the paper is known"


@pytest.mark.parametrize("name", methods.names())
def test_every_formula_is_latex_that_is_understood(name):
    found = describe(name)
    page = "".join(map(formulas.page, (found.text, *found.known_to_go_wrong)))
    assert "<math" in page and "$" not in page and "\\" not in page, "the library writes unknown commands as they are"


def test_docstrings_become_text_formulas_and_no_markup():
    page = formulas.page("One <b>word</b>, `a$b`, $x < y$:\n\n$$ z_1 = 2 $$\n$$\nw\n$$\n\n- `item`\n")
    assert "&lt;b&gt;word" in page and "<code>a$b</code>" in page and "<li><code>item</code></li>" in page
    assert page.count('display="block"') == 2 and page.count('display="inline"') == 1
    assert "<msub><mi>z</mi><mn>1</mn></msub>" in page
    assert formulas.line("it costs $a_$") == "it costs <code>a_</code>", "no LaTeX: as it was written"


def test_a_method_that_is_not_here_has_its_name_alone():
    supervised, gone = described({"gone", "supervised"})
    assert supervised.title == "Supervised" and (gone.title, gone.text) == ("gone", "")
