"""Tables from records.jsonl and the stored evaluations; one file per table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.report import names
from semiseg.report.records import Records
from semiseg.report.run_health import UNLIKE, Finding
from semiseg.report.table import Table

OVER_LISTS = "comparison_over_lists"


def build(suite_name: str, suite_dir: Path, rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Write every table of the suite to <suite_dir>/tables as CSV, Markdown, LaTeX and, for the pages, JSON."""
    from semiseg.report.tables import dvc

    records = Records(suite_name, Path(suite_dir), rows)
    made = write(records, Path(suite_dir) / "tables")
    dvc.write(records, Path(suite_dir) / "metrics")
    return made


def write(records: Records, folder: Path) -> list[Table]:
    """Write all tables of the records, and remove those of an earlier build, which a reader would believe."""
    made = assemble(records)
    for table in made:
        table.write(folder)
    files.write_json(folder / "index.json", [table.name for table in made])
    for path in folder.iterdir():
        if path.stem not in {"index", "made_from", *(table.name for table in made)}:
            path.unlink()
    return made


def assemble(records: Records) -> list[Table]:
    from semiseg.report import run_health as look
    from semiseg.report.tables import (
        ablations,
        classes,
        comparison,
        corruptions,
        cost,
        field_order,
        health,
        labels_saved,
        leaders,
        metrics,
        pairs,
        pseudo_labels,
        published,
        tuning,
    )  # fmt: skip

    findings, groups = look.findings(records), pairs.groups(records)
    saved = labels_saved.build(records, findings)
    pooled = records.over_lists()
    broadest = pooled or records
    compared = [comparison.build(records, groups, findings)]
    if pooled is not None:
        groups, findings = pairs.groups(pooled), look.findings(pooled)
        compared.insert(0, comparison.build(pooled, groups, findings, OVER_LISTS))
    found = [
        leaders.build(compared[0].rows, findings),
        *compared,
        comparison.controls(records),
        pairs.build(groups.values()),
        metrics.build(broadest),
        classes.build(broadest),
        corruptions.build(records),
        pseudo_labels.build(broadest),
        health.build(findings),
        *ablations.build(records),
        saved,
        published.build(records),
        field_order.build(compared[0].rows),
        cost.build(broadest),
        tuning.build(records),
    ]
    made = [table for table in found if table is not None]
    return [_with_unlike_trainings(table, findings) for table in made]


def _with_unlike_trainings(table: Table, findings: Sequence[Finding]) -> Table:
    """Add a sentence to each table that has a mean over unlike trainings."""
    cells = [f"{names.of(one.cell)} ({one.cell.partition})" for one in findings if one.kind == UNLIKE]
    if not cells or table.name == "health":
        return table
    said = (
        f"Means over trainings that differ in precision, device or start weights: {', '.join(dict.fromkeys(cells))}; "
        "the table “Health” says how."
    )
    return replace(table, note=f"{table.note} {said}".strip())


def headline(tables: Mapping[str, Table]) -> Table:
    """The comparison that a reader should see first: over lists where there are several."""
    return tables.get(OVER_LISTS) or tables["comparison"]
