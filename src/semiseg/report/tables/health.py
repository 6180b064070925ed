"""What a reader must know before believing a figure, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from semiseg.report import names
from semiseg.report.run_health import Finding
from semiseg.report.table import LISTED, Table, View

PLACE = ("dataset", "split_family", "split_sha256", "partition", "labelled", "method", "variant", "head")
COLUMNS = ("kind", "severity", *PLACE, "runs", "text")
VIEWS = (
    View("Labels", ("partition",)),
    View("Of", ("label",)),
    View("Kind", ("kind",), "state"),
    View("What was found", ("text",)),
    View("Severity", ("severity",)),
    LISTED,
)


def build(findings: Sequence[Finding]) -> Table:
    rows = [
        {key: one.cell and one.cell.row.get(key) for key in PLACE}
        | {"kind": one.kind, "severity": one.severity, "text": one.text, "runs": len(one.runs),
           "label": one.cell and names.of(one.cell)}
        for one in findings
    ]  # fmt: skip
    return Table(
        "health", "Health", "Found automatically in the study's records.", COLUMNS, VIEWS, tuple(rows),
        "" if rows else "Nothing was found.",
    )  # fmt: skip
