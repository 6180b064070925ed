"""Collected runs in a study: a run that equals a planned run replaces it; all others are shown in separate rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.files import peek_json
from semiseg.datasets.manifest import manifest_path
from semiseg.runs import collected, seal, spec
from semiseg.runs.collected import Theirs
from semiseg.runs.evaluations import Evaluations
from semiseg.runs.run_folder import RunFolder
from semiseg.scoring.selection import summarise
from semiseg.study import grid, tuning

if TYPE_CHECKING:
    from semiseg.study.plan import Run
    from semiseg.study.study import Study

OUTSIDE = ("config.yaml", "metrics.jsonl")  # products whose bytes do not depend on library versions


def take_in(study: Study) -> bool:
    """Unpack the submissions that git brought, and use their runs for the planned runs that they equal.

    True if all trials of a tuning are collected, and the best one is known only now.
    """
    collected.unpack(study.folder)
    found: dict[Path, list[Theirs]] = {}
    for theirs in collected.runs(study.folder):
        found.setdefault(study.folder / "runs" / theirs.name, []).append(theirs)
    if not found:
        return False
    lacking = [run for run in study.plan.runs if not _is_there(study, run)]
    for run in lacking:
        for theirs in (*found.get(run.path, ()), *found.get(run.twin, ())):  # a tuned run may be its default run
            if _is_it(study, run, theirs) and _put(study, run, theirs):
                break
    return any([_is_decided(study, method) for method in study.tunings])


def _is_decided(study: Study, method: str) -> bool:
    trials = tuning.trials_by_method(study.plan)[method]
    if study.tunings[method].fresh() or not all(RunFolder(run.path).source and _is_there(study, run) for run in trials):
        return False
    tuning.decide(study, method)
    return True


def _is_there(study: Study, run: Run) -> bool:
    folder = RunFolder(run.path)
    return folder.spec_sha256 == study.specs.sha256(run) and folder.complete


def _is_it(study: Study, run: Run, theirs: Theirs) -> bool:
    if run.tuned_by and not study.tunings[run.method].fresh():
        return False
    return theirs.folder.spec_sha256 == spec.spec_sha256(study.specs.wanted(run, theirs.folder.spec))


def _put(study: Study, run: Run, theirs: Theirs) -> bool:
    done = collected.stand_in(
        run.path, theirs, study.specs.wanted(run, theirs.folder.spec), study.specs.at_default(run)
    )
    study.specs.forget()
    return done


def beside(study: Study) -> list[Theirs]:
    """Collected runs that replace no run here: another training of the same cell, or a cell that is not planned."""
    trials = {run.path for run in study.plan.trials}
    own = study.folder / "runs"
    return [
        theirs
        for theirs in collected.runs(study.folder)
        if own / theirs.name not in trials and not _is_the_same(RunFolder(own / theirs.name), theirs)
    ]


def _is_the_same(ours: RunFolder, theirs: Theirs) -> bool:
    """Whether a run of this study is the collected one, or the one that was packed, as in the clone that packed it."""
    if ours.source is not None or not ours.record:
        return ours.source == theirs.source
    record = theirs.folder.record
    same_start = ours.record.get("started") == record.get("started")
    return same_start and ours.record.get("products") == record["collected"]["products"]


# ---------------------------------------------------------------- checks of a submission


def examine(study: Study, theirs: Theirs) -> None:
    """Refuse a run that cannot be compared with ours in a table; the error says why."""
    folder, run = theirs.folder, f"{theirs.source}: {theirs.name}"
    carried = peek_json(folder / "spec.json")
    record, config = folder.record, carried["spec"]["config"]
    if not carried["sha256"] == spec.spec_sha256(carried["spec"]) == record["spec_sha256"]:
        raise UserError(f"{run}: spec.json was edited: its hash differs from that of its content")
    for name in OUTSIDE:
        if record["products"].get(name) != record["collected"]["products"].get(name):
            raise UserError(f"{run}: {name} is not the file that the training wrote")
    if record["state"] != "done":
        raise UserError(f"{run} is not finished: its record says {record['state']}")
    methods.load(config["method"]["name"])
    _same_data(study, run, folder, carried["spec"])
    _same_protocol(study, run, config)
    _same_scores(run, folder, config)


def _same_data(study: Study, run: str, folder: RunFolder, carried: dict[str, Any]) -> None:
    name = carried["config"]["dataset"]["name"]
    ours = peek_json(manifest_path(name), "classes")
    theirs = Evaluations.load(folder / "evaluations.npz").classes
    if ours is None:
        raise UserError(
            f"{run}: the data set {name} is not prepared here; "
            f"`snakemake --profile local data_all --config suite={study.name}` prepares it"
        )
    if ours != theirs:
        raise UserError(
            f"{run} has the classes {', '.join(theirs)}, but the data set {name} here has {', '.join(ours)}"
        )
    if carried["data"] != study.specs.data_sha256(name):
        raise UserError(f"{run} was trained on images or masks that differ from those of the data set {name} here")
    lists = {peek_json(product.files[0], "sha256") for product in study.splits.values()} - {None}
    if not lists:
        raise UserError(
            f"{run}: the lists of {study.name} are not made here; "
            f"`snakemake --profile local splits_all --config suite={study.name}` makes them"
        )
    if carried["split"] not in lists:
        split = "/".join(map(str, carried["config"]["split"].values()))
        raise UserError(f"{run} has a list of labelled images ({split}) that the suite {study.name} does not have here")


def _same_protocol(study: Study, run: str, config: dict[str, Any]) -> None:
    ours, theirs = study.suite.evaluation.model_dump(mode="json"), config["evaluation"]
    if run in {one.name for one in study.plan.trials}:
        ours |= grid.JUDGED_ON_VAL
    for key in ("evaluated_on", "protocol"):
        if theirs[key] != ours[key]:
            raise UserError(
                f"{run} was evaluated with {key} {theirs[key]}, but the suite {study.name} uses {ours[key]}"
            )


def _same_scores(run: str, folder: RunFolder, config: dict[str, Any]) -> None:
    stored, said = Evaluations.load(folder / "evaluations.npz"), peek_json(folder / "eval.json")
    if not seal.holds(said):
        raise UserError(f"{run}: eval.json was edited or cut")
    if not stored.iterations or stored.iterations[-1] != config["recipe"]["iterations"]:
        raise UserError(f"{run} has no evaluation after its last iteration, {config['recipe']['iterations']}")
    keys = ("evaluated_on", "selected_on", "lastk")
    chosen = {key: config["evaluation"][key] for key in keys} | {"reported_network": said["reported_network"]}
    made = summarise(stored, spec_sha256=folder.spec_sha256, **chosen)
    for network, scores in made["networks"].items():
        for rule in ("last", "best", "lastk"):
            if said["networks"].get(network, {}).get(rule) != scores[rule]:
                raise UserError(f"{run}: the {network}'s score ({rule}) does not follow from its confusion matrices")
