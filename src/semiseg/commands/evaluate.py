"""semiseg evaluate RUN"""

from __future__ import annotations

import argparse
from pathlib import Path


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="+", help="folders of finished runs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.engine.training_progress import say

    for folder in options.folder:
        summary = evaluate(folder)
        last = summary["networks"][summary["reported_network"]]["last"]
        say(f"{folder}: {summary['evaluated_on']} mIoU {last['miou']:.2f} ({summary['reported_network']}, last)")


def evaluate(folder: Path) -> dict:
    """Write eval.json from evaluations.npz alone."""
    from semiseg import methods
    from semiseg.base.errors import UserError
    from semiseg.base.files import write_json
    from semiseg.runs.evaluations import Evaluations
    from semiseg.runs.run_folder import RunFolder
    from semiseg.scoring.selection import summarise
    from semiseg.study.study import evaluation_code, sealed

    run_folder = RunFolder(folder)
    spec = run_folder.spec
    if spec is None:
        raise UserError(f"{folder} is not a finished run; train it with `semiseg train {folder}`")
    settings = spec["config"]["evaluation"]
    summary = summarise(
        Evaluations.load(folder / "evaluations.npz"),
        spec_sha256=run_folder.spec_sha256,
        evaluated_on=settings["evaluated_on"],
        selected_on=settings["selected_on"],
        lastk=settings["lastk"],
        reported_network=methods.of_run(spec["config"]).reports,
    )
    write_json(folder / "eval.json", sealed(summary | {"code": evaluation_code()}))
    return summary
