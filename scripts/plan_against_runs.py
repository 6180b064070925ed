"""Compare the estimates of `semiseg plan` for trainings on a CPU with measured times.

    python scripts/plan_against_runs.py RUN_FOLDER...

The folders are those of finished runs in their workspaces (WORKSPACE/results/SUITE/runs/...), which also hold the check
of the data. The script writes `results/benchmarks/planned_and_measured.json` and prints the table for
docs/scaling.md. A test repeats the estimates for the stored configurations, so that they stay near the measured times.

Times are CPU seconds, which depend little on other work of the machine. The clock of the record starts after all
imports, so `IMPORT_SECONDS` are subtracted from the estimate. Memory is without Snakemake's processes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from semiseg.base.files import write_json
from semiseg.cluster import estimate, resources
from semiseg.cluster.site import Site

STORED = Path(__file__).resolve().parents[1] / "results/benchmarks/planned_and_measured.json"
HEAD = ("run", "planned s", "measured s", "ratio", "planned MiB", "measured MiB", "ratio")


def measured(folder: Path) -> dict[str, Any]:
    """The stored figures of a finished run."""
    record = json.loads((folder / "record.json").read_text())
    if record["state"] != "done" or record["resumed"]:
        sys.exit(f"{folder}: only runs that were finished without interruption can be compared")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    root = folder.resolve().parents[[part.name for part in folder.resolve().parents].index("results") + 1]
    os.chdir(root)
    return {
        "config": config,
        "sets": {name: list(size) for name, size in estimate.evaluated_sets(config, as_found=True).items()},
        "cpu": record["hardware"]["cpu"],
        "cpu_seconds": round(record["cpu_seconds"], 1),
        "peak_memory_mib": round(record["peak_memory_mib"]),
    }


def planned(config: dict[str, Any], sets: dict[str, list[int]]) -> tuple[float, float]:
    """Estimated CPU seconds and MiB of the same run; `sets`: the image sets that the check of its data found."""
    before, estimate._checked = estimate._checked, lambda dataset, subset: tuple(sets[subset])
    try:
        seconds = estimate.run_seconds(config, estimate.CPU, as_found=True) - estimate.IMPORT_SECONDS
        memory = resources.main_memory(config, {}, 0, Site()) - resources.WRAPPER_MIB
    finally:
        estimate._checked = before
    return seconds, memory


def rows(stored: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    found = []
    for one in stored:
        recipe = one["config"]["recipe"]
        network, batch = recipe["network"], recipe["batch"]
        name = f"{one['config']['method']['name']}, {network['architecture']} {network['encoder'].removeprefix('tu-')}"
        if one["config"]["method"]["options"].get("head") == "mask":
            name += " with a mask head"
        size = f"{recipe['crop'][0]}, {batch['labelled']}+{batch['unlabelled']}, {recipe['iterations']} iterations"
        pairs = zip(planned(one["config"], one["sets"]), (one["cpu_seconds"], one["peak_memory_mib"]), strict=True)
        cells = [cell for plan, real in pairs for cell in (f"{plan:.0f}", f"{real:.0f}", f"{plan / real:.2f}")]
        found.append((f"{' '.join(name.split())}, crop {size}", *cells))
    return found


def table(stored: list[dict[str, Any]]) -> str:
    lines = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *rows(stored)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    if folders := [Path(argument).absolute() for argument in sys.argv[1:]]:
        write_json(STORED, [measured(folder) for folder in folders])
    print(table(json.loads(STORED.read_text())), end="")


if __name__ == "__main__":
    main()
