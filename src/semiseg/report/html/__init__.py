"""The report: static pages that open from disk, without server or network."""

from __future__ import annotations

from semiseg.report.html.pages import LOCAL, build
from semiseg.report.html.suite_index import build_index

__all__ = ["LOCAL", "build", "build_index"]
