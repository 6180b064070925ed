"""Compare what `semiseg plan` says of trainings on a CPU with what they took.

    python scripts/plan_against_runs.py RUN_FOLDER...

The folders belong to finished runs, each in its workspace (WORKSPACE/results/SUITE/runs/...), where the plan finds the
check of the data too. What was measured goes to `results/benchmarks/planned_and_measured.json`; the table for
docs/scaling.md is printed. A test plans the stored configurations again, so that the plan cannot drift away from them.

CPU seconds, not time on the clock: other work on the machine hardly changes them. The record's clock starts when Python
has imported everything, so `IMPORT_SECONDS` are taken off the plan; the memory is without Snakemake's own processes.
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
    """What is stored of a finished run."""
    record = json.loads((folder / "record.json").read_text())
    if record["state"] != "done" or record["resumed"]:
        sys.exit(f"{folder}: only a run that was finished in one sitting shows what it takes")
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
    """CPU seconds and MiB of the same run, by today's plan; `sets` are those that its check of the data found."""
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
