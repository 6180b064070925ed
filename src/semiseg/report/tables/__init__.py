"""Tables from records.jsonl and evaluations.npz; one file per table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.report.records import Records
from semiseg.report.table import Table


def build(suite_name: str, suite_dir: Path, rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Write every table of the suite to <suite_dir>/tables as CSV, Markdown, LaTeX and, for the pages, JSON."""
    from semiseg.report.tables import dvc

    records = Records(suite_name, Path(suite_dir), rows)
    made = assemble(records)
    for table in made:
        table.write(Path(suite_dir) / "tables")
    files.write_json(Path(suite_dir) / "tables" / "index.json", [table.name for table in made])
    dvc.write(records, Path(suite_dir) / "metrics")
    return made


def assemble(records: Records) -> list[Table]:
    from semiseg.report.tables import ablations, comparison, cost, labels_saved, noise_budget, published

    return [
        comparison.build(records),
        *ablations.build(records),
        labels_saved.build(records),
        published.build(records),
        noise_budget.build(records),
        cost.build(records),
    ]
