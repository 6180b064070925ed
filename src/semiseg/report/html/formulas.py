"""Docstrings as pages: Markdown whose formulas are LaTeX between dollar signs, typeset as MathML.

A code host typesets LaTeX in Markdown itself, and browsers draw MathML without a library.
"""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markupsafe import Markup

DISPLAYED = re.compile(r"^\$\$(.+?)\$\$\n?", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"\$([^$`]+)\$")
# The same two after a Markdown library has made HTML of them.
DISPLAYED_HTML = re.compile(
    r'<pre(?: class="math"><code|><code class="language-math")>(?P<formula>.*?)</code></pre>', re.DOTALL
)
INLINE_HTML = re.compile(r"\$<code>(?P<formula>.*?)</code>\$", re.DOTALL)

WRITER = MarkdownIt("commonmark", {"html": False})


def markdown(text: str) -> str:
    """A docstring as Markdown for a code host, which takes formulas literally only inside of code marks."""
    text = DISPLAYED.sub(lambda found: f"\n```math\n{found[1].strip()}\n```\n\n", text)
    parts = re.split(r"(^```math\n.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [INLINE.sub(r"$`\1`$", part) for part in parts[::2]]
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def page(text: str) -> Markup:
    """A docstring as HTML; markup in it is text."""
    return Markup(typeset(WRITER.render(markdown(text))))


def line(text: str) -> Markup:
    """One sentence of a docstring as HTML, without a paragraph around it."""
    return Markup(typeset(WRITER.renderInline(markdown(text))))


def typeset(page: str) -> str:
    """HTML that was made of `markdown`, its formulas as MathML."""
    page = DISPLAYED_HTML.sub(lambda found: f'<div class="formula">{_mathml(found["formula"], "block")}</div>', page)
    return INLINE_HTML.sub(lambda found: _mathml(found["formula"], "inline"), page)


def _mathml(escaped: str, display: str) -> str:
    """A formula that is no LaTeX (in a plugin's docstring) stays as it was written."""
    try:
        return convert(" ".join(html.unescape(escaped).split()), display=display)
    except Exception:  # the library's exceptions have no class in common
        return f"<code>{escaped}</code>"
