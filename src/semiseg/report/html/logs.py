"""The end of each run's training log, in a text file beside its page.

Logs do not travel with the results, so the pages only link these files: a clone that has the results and no logs makes
the same pages, byte for byte. DVC leaves these files out of the report (.dvcignore).
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from semiseg.base import files
from semiseg.report.cells import Run
from semiseg.report.records import Records

LINES = 60
ABSENT = "The log lies where the run was trained, which is not here.\n"


def write(records: Records, report: Path, names: dict[str, str]) -> None:
    """report/logs/<name>.txt of every finished or failed run that has a log; `names`: run -> name of its page."""
    folder = report / "logs"
    wanted = {folder / f"{names[run.row['run']]}.txt": run for run in records.runs if has_log(run, report)}
    for path in folder.glob("*.txt") if folder.is_dir() else ():
        if path not in wanted:
            path.unlink()
    for path, run in wanted.items():
        _write(path, run, log_of(run, report))


def has_log(run: Run, report: Path) -> bool:
    return bool(run.row["run"]) and (run.record is not None or log_of(run, report).is_file())


def log_of(run: Run, report: Path) -> Path:
    """Where the rule `train` writes it (workflow/rules/train.smk)."""
    suite = report.parent
    return suite.parent.parent / "logs" / suite.name / "train" / f"{run.row['run'].removeprefix('runs/')}.log"


def _write(path: Path, run: Run, log: Path) -> None:
    head = f"{run.row['run']}, spec {(run.record or {}).get('spec_sha256') or 'unknown'}\n"
    if log.is_file():
        files.write_text(path, f"{head}The last {LINES} lines of its log:\n\n{_end(log)}")
    # What an earlier report kept of the same training is better than nothing: committed reports have it so.
    elif not (path.exists() and path.read_text().startswith(head)):
        files.write_text(path, f"{head}{ABSENT}")


def _end(log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as stream:
        return "".join(deque(stream, LINES))
