"""semiseg train RUN"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="run folder: results/<suite>/runs/…/seed<k>")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--request", type=Path, help="request file that Snakemake wrote; default: the configuration in params.yaml"
    )
    source.add_argument("--config", type=Path, help="config.yaml of a run that is repeated in FOLDER")
    parser.add_argument("--splits", type=Path, help="folder of the split lists; default: splits/ of the run's suite")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.cluster import devices, estimate
    from semiseg.datasets.dataset_config import DatasetConfig
    from semiseg.engine.launch import train_run
    from semiseg.engine.training_progress import say
    from semiseg.study.study import DATA

    wanted = _wanted(options)
    gpus = estimate.gpus(wanted["config"])
    held = []
    if "RANK" not in os.environ:  # torchrun has not started this process
        held = devices.lease(gpus)
        if gpus > 1:
            devices.in_processes(gpus, held)
    devices.check_usable(gpus)
    try:
        train_run(
            wanted["config"],
            options.folder,
            data=DATA,
            splits=options.splits or Path(wanted.get("splits") or _suite_folder(options.folder) / "splits"),
            runtime=wanted["runtime"],
            dataset=DatasetConfig.model_validate(wanted["dataset"]),
            say=say,
            request=options.request,
            twin=wanted.get("twin"),
            at_default=wanted.get("at_default", ()),
            collected_in=wanted.get("collected"),
        )
    finally:
        for lock in held:
            lock.close()
    if os.environ.get("RANK", "0") == "0":
        _score(options.folder)


def _score(folder: Path) -> None:
    """Score the run in this job: separate jobs would start Python for every run on the driver's machine."""
    from semiseg.commands.evaluate import evaluate
    from semiseg.study.freshness import is_scored

    if not is_scored(folder):
        evaluate(folder)


def _wanted(options: argparse.Namespace) -> dict[str, Any]:
    from semiseg.base.files import read_json
    from semiseg.study.trials import resolved

    if options.request:
        return resolved(read_json(options.request)["content"])
    if options.config:
        return _repeated(options.config)
    from semiseg.study.study import Study

    study = Study.load(_suite_folder(options.folder).name)
    return resolved(study.runs[study.run_at(options.folder).path].content)


def _repeated(path: Path) -> dict[str, Any]:
    """The configuration in a run's config.yaml, with this machine's paths of the data set."""
    import yaml

    from semiseg.base.errors import UserError
    from semiseg.base.explain import nearest
    from semiseg.params import loading, schema

    try:
        wanted = yaml.safe_load(path.read_text())
        name = wanted["dataset"]["name"]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); --config needs the config.yaml of a run") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not the config.yaml of a run; use the one in a run folder") from error
    datasets = loading.load().datasets
    if name not in datasets:
        raise UserError(f"{path}: params.yaml has no data set {name!r}{nearest(name, datasets)}")
    return {"config": wanted, "runtime": schema.Runtime().model_dump(), "dataset": datasets[name].model_dump()}


def _suite_folder(folder: Path) -> Path:
    """results/<suite> of results/<suite>/runs/…"""
    from semiseg.base.errors import UserError

    for parent in folder.parents:
        if parent.name == "runs":
            return parent.parent
    raise UserError(f"{folder} is not below a folder named runs; give the folder of the split lists with --splits")
