"""The planned runs as plain rows; `runs.collect` joins them with the run folders into records.jsonl."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.base.files import read_json
from semiseg.report.names import MAIN_VARIANTS
from semiseg.runs.collected import Theirs
from semiseg.splits.families import FULL, split_name
from semiseg.study import from_others
from semiseg.study.plan import Cell, Run
from semiseg.study.study import Study


def descriptions(study: Study) -> list[dict[str, Any]]:
    """One row per run, with all cells that show it, and one row per cell that does not apply."""
    shown: dict[Path, list[dict[str, Any]]] = defaultdict(list)
    empty = []
    for order, cell in enumerate(study.plan.cells):
        place = {"kind": cell.kind, "arm": cell.arm, "order": order}
        if cell.kind in study.suite.ablations:
            place["title"] = study.suite.ablations[cell.kind].title
        for run in cell.runs:
            shown[run.path].append(place)
        if not cell.runs:
            empty.append(_common(study, cell) | {"run": None, "seed": None, "cells": [place], "reason": cell.reason})
    planned = [_of_run(study, run) | {"cells": shown[run.path]} for run in study.plan.runs]
    return [*planned, *empty, *_beside(study, shown)]


def _beside(study: Study, shown: dict[Path, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Rows of collected runs that replace no planned run; the comparison shows each source in separate rows."""
    for theirs in from_others.beside(study):
        path = study.folder / "runs" / theirs.name
        places = [place for place in shown[path] if place["kind"] == "comparison"]
        if path in shown and not places:
            continue  # an arm of an ablation; the table of the ablation compares its arms only
        carried = theirs.folder.spec
        run = _theirs(study, theirs, carried["config"])
        place = places[0] if places else {"kind": "comparison", "order": len(study.plan.cells)}
        folder = str(theirs.folder.path.relative_to(study.folder))
        recipe = carried["config"]["recipe"]
        network = recipe["network"]
        yield _common(study, run) | {
            "dataset": run.dataset,
            "run": folder,
            "seed": run.seed,
            "split_sha256": carried["split"],
            "architecture": network["architecture"],
            "encoder": network["encoder"] or network["architecture"],
            "output_stride": network["output_stride"],
            "crop": recipe["crop"],
            "variant": _from(run.variant, theirs.source),
            "source": theirs.source,
            "spec_sha256": theirs.folder.spec_sha256,
            "cells": [place | {"arm": _from(str(place.get("arm", run.variant)), theirs.source)}],
        }


def _from(variant: str, source: str) -> str:
    return f"from {source}" if variant in MAIN_VARIANTS else f"{variant} from {source}"


def _theirs(study: Study, theirs: Theirs, config: dict[str, Any]) -> Run:
    """The collected run as if it were planned here."""
    dataset, _, _, variant, seed = theirs.name.split("/")
    split, method = config["split"], config["method"]
    place = (split["family"], split["partition"], method["name"], variant, method["options"])
    return Run(study.name, dataset, *place, int(seed.removeprefix("seed")), config)


def _of_run(study: Study, run: Run) -> dict[str, Any]:
    tuning = {"trial": run.trial, "setting": run.setting} if run.trial is not None or run.tuned_by else None
    return _common(study, run) | {
        "dataset": run.dataset,
        "tuning": tuning,
        "run": str(run.path.relative_to(study.folder)),
        "seed": run.seed,
        "needs": {name: str(one.path.relative_to(study.folder)) for name, one in run.needs.items()},
        "spec_sha256": study.specs.sha256(run),
    }


def _common(study: Study, place: Run | Cell) -> dict[str, Any]:
    recipe = place.recipe or study.suite.recipe.model_dump(mode="json")
    network = recipe["network"]
    kind = methods.load(place.method)
    method = kind(kind.Options.model_validate(place.options), study.setting)
    path = study.specs.split_file(place)
    split = read_json(path) if path.exists() else None
    return {
        "suite": study.name,
        "dataset": study.suite.dataset,
        "split": split_name(place.family, place.partition),
        "split_family": FULL if place.partition == FULL else place.family,
        "partition": place.partition,
        "split_sha256": split and split["sha256"],
        "labelled": split and len(split["labelled"]),
        "unlabelled": split and len(split["unlabelled"]) + study.specs.extra_images(study.suite.dataset),
        "method": place.method,
        "variant": place.variant,
        "options": place.options,
        "head": method.head,
        "network": method.reports,
        "title": method.title or place.method,
        "fidelity": method.fidelity,
        "architecture": network["architecture"],
        "encoder": network["encoder"] or network["architecture"],
        "output_stride": network["output_stride"],
        "crop": list(recipe["crop"]),
        "iterations": recipe["iterations"],
        "block": study.suite.block,
    }
