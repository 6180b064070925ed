"""semiseg adopt: compare results on disk with params.yaml, data, splits and code.

Snakemake and DVC accept matching results by themselves, wherever they came from. This command shows beforehand which
runs will be accepted, and why the others will not. It also verifies every byte, including the weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semiseg.study.plan import Run
    from semiseg.study.study import Study


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suite", help="default: the suite that params.yaml names")
    parser.add_argument(
        "--accept-code",
        metavar="REASON",
        help="accept runs that differ only in code; their records then hold the reason and both hashes",
    )
    parser.add_argument("--quiet", action="store_true", help="do not list the runs that are accepted")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.study.study import Study

    study = Study.load(options.suite)
    if options.accept_code is not None:
        accept_code(study, options.accept_code)
    reasons = {run.path: objections(study, run) for run in study.plan.runs}
    accepted = [path for path, found in reasons.items() if not found]
    for path, found in reasons.items():
        if found:
            print("\n  ".join([f"{path}: not accepted, because", *found]))
        elif not options.quiet:
            print(f"{path}: accepted")
    for path in strangers(study):
        print(f"{path}: belongs to no run of the suite; it is kept but not used")
    left = sum(not product.fresh() for product in study.runs.values())
    print(
        f"{study.name}: {len(accepted)} of {len(reasons)} runs accepted" + (f"; {left} will be trained" if left else "")
    )
    if len(accepted) < len(reasons):
        sys.exit(1)


def accept_code(study: Study, reason: str) -> None:
    """Accept finished runs that differ only in code; their records say so, and tables mark them."""
    from semiseg.base.errors import UserError
    from semiseg.base.files import sha256_json, write_json
    from semiseg.engine.storage.record import now
    from semiseg.runs import spec
    from semiseg.runs.run_folder import PRODUCTS, RunFolder

    if not reason.strip():
        raise UserError("--accept-code needs a reason: what changed in the code, and why the results stay valid")
    for run in study.plan.runs:
        folder, wanted = RunFolder(run.path), study.specs.wanted(run)
        carried = folder.spec
        if not spec.differs_in_code_alone(carried, wanted, study.specs.at_default(run)) or folder.damage(PRODUCTS):
            continue
        new = spec.with_code_of(carried, wanted)
        sha256 = spec.spec_sha256(new)
        change = {"from": sha256_json(carried["code"]), "to": sha256_json(new["code"])}
        changed = [*spec.changed_modules(carried, new), *spec.changed_needs(carried, new)]
        note = {"reason": reason, "modules": changed, "accepted": now(), **change}
        record = folder.record
        accepted = [*record.get("accepted_code", []), note]
        write_json(folder / "record.json", record | {"accepted_code": accepted, "spec_sha256": sha256})
        write_json(folder / "spec.json", {"spec": new, "sha256": sha256})


def objections(study: Study, run: Run) -> list[str]:
    """Why the folder's results are not accepted for this run; an empty list if they are accepted."""
    from semiseg.runs import spec
    from semiseg.runs.run_folder import PRODUCTS, RunFolder

    folder = RunFolder(run.path)
    wanted = study.specs.wanted(run)
    if not folder.recover(wanted, spec.spec_sha256(wanted)):
        if differs := spec.differences(folder.spec, wanted):
            return differs
        return [_lost(run.path, name) for name in folder.damage(PRODUCTS)]
    return []


def _lost(path: Path, name: str) -> str:
    if not (path / name).exists():
        return f"{name} is missing; `dvc pull` fetches it if a remote has it"
    return (
        f"{name} is damaged: its hash differs from that in record.json; docs/dvc.md explains how to restore it from a "
        "remote instead of training again"
    )


def strangers(study: Study) -> list[Path]:
    """Finished runs in the suite's folder that are not in its plan, for example after a change of the grid."""
    planned = {run.path for run in study.plan.runs}
    found = sorted(path.parent for path in (study.folder / "runs").glob("*/*/*/*/*/spec.json"))
    return [path for path in found if path not in planned]
