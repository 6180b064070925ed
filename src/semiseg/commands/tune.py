"""semiseg tune FILE"""

from __future__ import annotations

import argparse
from pathlib import Path


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="results/<suite>/tuning/<method>.json")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.commands.evaluate import evaluate
    from semiseg.study import tuning
    from semiseg.study.freshness import is_scored
    from semiseg.study.study import Study

    study, method = Study.load(options.file.parent.parent.name), options.file.stem
    for run in tuning.trials_by_method(study.plan).get(method, ()):
        if not is_scored(run.path):
            evaluate(run.path)
    found = tuning.decide(study, method)
    scores = {one["trial"]: one["val_miou"] for one in found["trials"]}
    setting = ", ".join(f"{key} {value}" for key, value in found["setting"].items()) or "the default setting"
    best = found["best"]
    print(f"{options.file}: trial {best} is best, {scores[best]:.2f} on val (default {scores[0]:.2f}): {setting}")
