"""semiseg evaluate RUN…, or all finished runs of a suite, or weights that were trained elsewhere"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semiseg.study.study import Study


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="*", help="folders of finished runs")
    parser.add_argument("--suite", help="score all finished runs of this suite that have no score yet")
    parser.add_argument("--list", type=Path, help="with --suite: write the list of scored runs (used by the workflow)")
    parser.add_argument(
        "--corruptions", action="store_true",
        help="score the runs on five corruptions of the images at three strengths; needs weights and data",
    )  # fmt: skip
    foreign = parser.add_argument_group("weights that were trained elsewhere")
    foreign.add_argument("--weights", type=Path, metavar="FILE", help="a state dict: .pt, .pth or .safetensors")
    foreign.add_argument("--network", nargs="+", default=(), metavar="KEY=VALUE", help="replaces the suite's keys")
    foreign.add_argument("--protocol", nargs="+", default=(), metavar="KEY=VALUE", help="replaces the suite's keys")
    foreign.add_argument("--head", choices=("pixel", "mask"), default="pixel")
    foreign.add_argument("--prefix", default="", help="of the keys that belong to the network, such as `teacher.`")
    foreign.add_argument(
        "--out", type=Path, metavar="FILE", help="a JSON file with the score and what it was made from"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.base.errors import UserError
    from semiseg.engine.training_progress import say

    if options.weights:
        return _foreign(options)
    if not options.folder and not options.suite:
        raise UserError("name folders of finished runs, or a suite with --suite")
    if options.corruptions:
        return _corruptions(options.folder)
    for folder in options.folder:
        summary = evaluate(folder)
        last = summary["networks"][summary["reported_network"]]["last"]
        say(f"{folder}: {summary['evaluated_on']} mIoU {last['miou']:.2f} ({summary['reported_network']}, last)")
    if options.suite:
        _suite(options.suite, options.list)


def _foreign(options: argparse.Namespace) -> None:
    """Evaluate on the data set and the set of images that the suite reports."""
    from semiseg.base.errors import UserError
    from semiseg.base.explain import nearest
    from semiseg.base.files import write_json
    from semiseg.inference import foreign_weights
    from semiseg.params import loading
    from semiseg.runs.seal import sealed

    params = loading.load()
    name = options.suite or params.suite
    if name not in params.suites:
        raise UserError(f"params.yaml: there is no suite {name!r}{nearest(name, params.suites)}")
    found = foreign_weights.scored(
        options.weights, params, name, head=options.head, prefix=options.prefix,
        network=_values(options.network, "--network"), protocol=_values(options.protocol, "--protocol"),
    )  # fmt: skip
    print(
        f"{options.weights}: {found['evaluated_on']} mIoU {found['miou']:.2f} +- {found['miou_error']:.2f} on "
        f"{found['images']} images of {found['dataset']} (+- over images alone)"
    )
    for label, iou in zip(found["classes"], found["per_class"], strict=True):
        print(f"  {label}: {'absent' if iou is None else f'{iou:.2f}'}")
    if options.out:
        write_json(options.out, sealed(found))


def _values(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """Parse KEY=VALUE pairs; values are written as in params.yaml."""
    import yaml

    from semiseg.base.errors import UserError

    found = {}
    for pair in pairs:
        key, is_there, value = pair.partition("=")
        if not is_there:
            raise UserError(f"{option} {pair}: expected KEY=VALUE, as architecture=unet")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"{option} {pair}: {value!r} is not a value as in params.yaml") from error
    return found


def _corruptions(folders: Sequence[Path]) -> None:
    from semiseg.base.errors import UserError
    from semiseg.engine.training_progress import say
    from semiseg.inference import robustness

    if not folders:
        raise UserError("--corruptions: name folders of finished runs")
    for folder in folders:
        found = robustness.score(folder)
        mean = sum(score["miou"] for score in found["scores"]) / len(found["scores"])
        say(f"{folder}: mIoU {found['clean']:.2f} clean, {mean:.2f} over {len(found['scores'])} corruptions")


def _suite(name: str, listed: Path | None) -> None:
    from semiseg.base.files import write_json
    from semiseg.study.study import Study

    study = Study.load(name)
    print(f"{score_what_is_finished(study)} runs scored")
    if listed:
        write_json(listed, study.scores.wanted())


def score_what_is_finished(study: Study) -> int:
    """Score runs whose evaluation is missing or outdated: the scoring code changed, or a training was interrupted."""
    lacking = [
        run.path for run in study.plan.runs if study.runs[run.path].fresh() and not study.evaluations[run.path].fresh()
    ]
    for path in lacking:
        evaluate(path)
    return len(lacking)


def evaluate(folder: Path) -> dict:
    """Write eval.json from evaluations.npz alone."""
    from semiseg import methods
    from semiseg.base.errors import UserError
    from semiseg.base.files import write_json
    from semiseg.runs.evaluations import Evaluations
    from semiseg.runs.run_folder import RunFolder
    from semiseg.runs.seal import sealed
    from semiseg.scoring.selection import summarise
    from semiseg.study.freshness import evaluation_code

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
