"""The report: static pages that open from disk, without server or network."""

from __future__ import annotations

from semiseg.report.html.pages import build

__all__ = ["build"]
