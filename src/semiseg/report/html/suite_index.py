"""The index over all suites that have a report: results/index.html."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from semiseg.report.cells import COMPARISON
from semiseg.report.html.answer import answer
from semiseg.report.html.pages import environment, write_page
from semiseg.report.plots import ranks
from semiseg.report.records import Records
from semiseg.report.table import read_all
from semiseg.runs import collect

EARLIER = "Its tables were made by an earlier version."


def build_index(results: Path) -> Path:
    """List every suite below `results` whose report is there, and rank the methods over their data sets.

    The page has the style of the first suite's report.
    """
    found = sorted(path.parents[1] for path in results.glob("*/report/index.html"))
    suites = [_summary(folder) for folder in found if _has_records(folder)]
    page = results / "index.html"
    assets = os.path.relpath(found[0] / "report" / "assets", results) + "/" if found else ""
    together = ranks.over_sets(ranks.read(found))
    picture = "" if isinstance(together, str) else base64.b64encode(ranks.draw(together)["svg"]).decode()
    write_page(environment(), "suites", page, suites=suites, assets=assets, ranks=together, picture=picture)
    return page


def _has_records(folder: Path) -> bool:
    path = folder / "records.jsonl"
    return path.exists() and path.stat().st_size > 0


def _summary(folder: Path) -> dict[str, Any]:
    records = Records(folder.name, folder, collect.read(folder / "records.jsonl"))
    tables = read_all(folder / "tables")
    cells = [cell for cell in records.cells(COMPARISON) if cell.state != "not_applicable"]
    return {
        "name": folder.name,
        "page": f"{folder.name}/report/index.html",
        "dataset": records.runs[0].row["dataset"],
        "methods": len({cell.method for cell in cells}),
        "seeds": max((len(cell.runs) for cell in cells), default=0),
        "done": sum(cell.state == "done" for cell in cells),
        "cells": len(cells),
        "answer": answer(tables)[0] if "leaders" in tables else EARLIER,
    }
