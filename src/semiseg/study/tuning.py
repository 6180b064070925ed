"""The result of tuning: one file per method names the best trial; the rows `tuned` use its setting.

The best trial is known only when all trials are done. A tuned run is therefore planned with the default setting and
the path of this file. The run's job reads the file when it starts, and so does every later plan of the study.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.base.errors import UserError
from semiseg.base.files import peek_json, read_json, sha256_json, write_json
from semiseg.base.fingerprint import fingerprint
from semiseg.runs import spec
from semiseg.runs.run_folder import RunFolder
from semiseg.study import trials
from semiseg.study.plan import Cell, Plan, Run

if TYPE_CHECKING:
    from semiseg.study.study import Study

JUDGED_ON = "val"


def trials_by_method(plan: Plan) -> dict[str, list[Run]]:
    found = defaultdict(list)
    for run in plan.trials:
        found[run.method].append(run)
    return {method: sorted(runs, key=lambda run: run.trial) for method, runs in found.items()}


def wanted(study: Study, runs: list[Run]) -> dict[str, Any]:
    """The inputs of an up-to-date file."""
    return _made_from({run.name: spec.spec_sha256(study.specs.wanted(run)) for run in runs})


def _made_from(specs: dict[str, str | None]) -> dict[str, Any]:
    return {"trials": specs, "code": sha256_json(fingerprint("semiseg.scoring.selection", of_training=False))}


def carried(path: Path) -> Any:
    return peek_json(path, "made_from")


def decide(study: Study, method: str) -> dict[str, Any]:
    """Compare the trials of a method, and write all of them and the best; the first one wins a tie."""
    runs = trials_by_method(study.plan).get(method)
    if not runs:
        raise UserError(f"the suite {study.name} does not tune {method}")
    scored = [_scored(run) for run in runs]
    best = max(scored, key=lambda one: (one["val_miou"], -one["trial"]))
    content = {"method": method, "best": best["trial"], "setting": best["setting"], "trials": scored}
    made_from = _made_from({run.name: RunFolder(run.path).spec_sha256 for run in runs})
    write_json(study.tunings[method].files[0], content | {"made_from": made_from})
    return content


def _scored(run: Run) -> dict[str, Any]:
    evaluated = read_json(run.path / "eval.json")
    scores = evaluated["networks"][evaluated["reported_network"]]
    if set(scores["curves"]) != {JUDGED_ON}:
        raise UserError(
            f"{run.path} was evaluated on {', '.join(scores['curves'])}; trials are evaluated on {JUDGED_ON} only"
        )
    return {"trial": run.trial, "setting": run.setting, "val_miou": scores["last"]["miou"], "run": run.name}


def settled(study: Study) -> Plan:
    """The plan with the setting of the best trial in every run whose tuning is done."""
    found = {product.files[0]: read_json(product.files[0]) for product in study.tunings.values() if product.fresh()}
    if not found:
        return study.plan
    plan = study.plan
    return Plan(
        plan.suite,
        tuple(with_best(run, found) for run in plan.runs),
        tuple(_of_best(cell, found) for cell in plan.cells),
    )


def with_best(run: Run, found: dict[Path, Any]) -> Run:
    if run.tuned_by not in found:
        return run
    setting = found[run.tuned_by]["setting"]
    config = trials.applied(run.config, setting)
    return dataclasses.replace(run, config=config, options=config["method"]["options"], setting=setting)


def _of_best(cell: Cell, found: dict[Path, Any]) -> Cell:
    runs = tuple(with_best(run, found) for run in cell.runs)
    return dataclasses.replace(cell, runs=runs, options=runs[0].options if runs else cell.options)
