"""What the page of one run shows, and the facts that all runs share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg.report import names
from semiseg.report.cells import Run
from semiseg.report.html import logs
from semiseg.report.html.chart import line_chart
from semiseg.report.records import Records
from semiseg.runs import training_log

FILES = ("config.yaml", "metrics.jsonl", "eval.json", "record.json", "spec.json", "evaluations.npz", "predictions.npz")
COSTS = (
    ("wall_seconds", "Wall time", "s"), ("gpu_seconds", "GPU time", "s"), ("cpu_seconds", "CPU time", "s"),
    ("peak_memory_mib", "Peak memory", "MiB"), ("energy_joules", "Energy", "J"), ("parameters", "Parameters", ""),
    ("resumed", "Times resumed", ""),
)  # fmt: skip

POINTS = 200  # of a line


def slug(run: Run) -> str:
    """File name of a run's page."""
    parts = run.row["run"].split("/")[1:]
    return "--".join("".join(c if c.isalnum() or c in "._=-" else "_" for c in part) for part in parts)


def title(run: Run) -> str:
    return f"{names.of(run)}, {run.partition} labels, seed {run.seed}" + ("" if run.done else f" ({run.state})")


def command(records: Records, run: Run) -> str:
    """What makes the run, from the root of the repository: the recorded command, or what it would be."""
    recorded = (run.record or {}).get("command")
    return recorded or f"semiseg train results/{records.suite}/{run.row['run']}"


def links(records: Records) -> dict[tuple[Any, ...], list[Run]]:
    """What identifies a table's row -> its runs, so that every figure can be followed; also for rows over lists."""
    found: dict[tuple[Any, ...], list[Run]] = {}
    for every in filter(None, (records, records.over_lists())):
        for run in every.runs:
            if run.row["run"]:
                runs = found.setdefault((run.split_family, run.partition, run.method, run.variant), [])
                if run.run not in {one.run for one in runs}:
                    runs.append(run)
    return found


def summary(run: Run) -> dict[str, Any]:
    record = run.record or {}
    spent = record.get("gpu_seconds") or record.get("cpu_seconds")  # the wall's tell of what else was running
    return {
        "page": f"runs/{slug(run)}.html" if run.row["run"] else "",
        "label": names.of(run),
        "partition": run.partition,
        "labelled": run.labelled,
        "family": run.split_family,
        "seed": run.seed,
        "state": run.state,
        "network": run.network,
        "miou": run.miou(),
        "minutes": spent / 60 if spent else None,
        "reason": _error(record) or run.row.get("reason") or "",
    }


def _error(record: Mapping[str, Any]) -> str:
    error = record.get("error")
    if not error:
        return ""
    return str(error.get("message", error)) if isinstance(error, Mapping) else str(error)


def details(run: Run, records: Records, report: Path) -> dict[str, Any]:
    """Everything that the page of a run shows."""
    record = run.record or {}
    return {
        "run": run,
        "title": title(run),
        "command": command(records, run),
        "summary": summary(run),
        "config": _text(run.folder / "config.yaml"),
        "scores": _scores(run),
        "classes": _classes(run),
        "curves": _curves(run),
        "costs": [(title, record.get(key), unit) for key, title, unit in COSTS if record.get(key) is not None],
        "facts": _facts(record),
        "files": [name for name in FILES if (run.folder / name).exists()],
        "log": f"../logs/{slug(run)}.txt" if logs.has_log(run, report) else "",
        "siblings": [other for other in records.runs if other.row["run"] and _same_cell(other, run)],
        "shown_in": sorted({f"{shown['kind'].replace('_', ' ')}: {shown['arm']}" for shown in run.cells or ()}),
    }


def _same_cell(one: Run, other: Run) -> bool:
    return all(getattr(one, key) == getattr(other, key) for key in ("split", "method", "variant", "head"))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _scores(run: Run) -> list[dict[str, Any]]:
    if not run.done:
        return []
    rows = []
    for network, scores in sorted(run.eval["networks"].items()):
        best, last = scores["best"], scores["last"]
        rows.append({
            "network": network, "reported": network == run.network, "last": last["miou"],
            "accuracy": last["pixel_accuracy"], "absent": last["absent"], "best": best and best["miou"],
            "best_iteration": best and best["iteration"], "lastk": scores["lastk"]["miou"], "k": scores["lastk"]["k"],
        })  # fmt: skip
    return rows


def _classes(run: Run) -> list[tuple[str, dict[str, float | None]]]:
    """Class -> IoU of every network after the last iteration."""
    if not run.done:
        return []
    networks = sorted(run.eval["networks"])
    columns = [run.eval["networks"][network]["last"]["per_class"] for network in networks]
    return [(name, dict(zip(networks, values, strict=True)))
            for name, *values in zip(run.eval["classes"], *columns, strict=True)]  # fmt: skip


def _curves(run: Run) -> list[tuple[str, Any]]:
    """(title, chart): mIoU from the record, losses and pseudo-labels from the run's own log where there is one."""
    charts = []
    if run.done:
        series = {
            f"{network}, {name}": list(zip(run.eval["iterations"], curve, strict=True))
            for network, scores in sorted(run.eval["networks"].items())
            for name, curve in sorted(scores["curves"].items())
        }
        charts.append(("mIoU (%)", line_chart(series, "mIoU over iterations")))
    charts.append(("Losses", line_chart(training_log.losses(run.folder, POINTS), "losses over iterations")))
    shares = {"confident pixels": "confident_share", "accuracy of pseudo-labels": "pseudo_accuracy"}
    lines = training_log.lines(run.folder, "diagnostics")
    series = {title: [(line["iteration"], 100 * line[key]) for line in lines if line.get(key) is not None]
              for title, key in shares.items()}  # fmt: skip
    charts.append(("Pseudo-labels (%)", line_chart(series, "pseudo-labels over iterations")))
    return [(title, chart) for title, chart in charts if chart]


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Provenance as flat pairs: code, versions, hardware, hashes, times."""
    facts = []
    for block in ("git", "versions", "hardware", "hashes"):
        for key, value in sorted((record.get(block) or {}).items()):
            if value is not None:
                facts.append((f"{block}: {key}", value if isinstance(value, str) else json.dumps(value)))
    facts += [(key, str(record[key])) for key in ("spec_sha256", "started", "finished") if record.get(key)]
    return facts


def provenance(records: Records) -> list[tuple[str, list[tuple[str, int]]]]:
    """What all runs were made with, and by how many: one line each where all runs agree."""
    found: dict[str, Counter[str]] = {}
    for run in records.runs:
        for key, value in _facts(run.record or {}):
            if key.split(":")[0] in ("git", "versions", "hardware") or key == "hashes: data":
                found.setdefault(key, Counter())[value] += 1
    return [
        (key, sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))) for key, values in sorted(found.items())
    ]
