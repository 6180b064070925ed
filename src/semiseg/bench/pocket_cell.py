"""Trains one cell of the suite `pocket` in a separate folder, with other speed options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import yaml

from semiseg.base.errors import UserError
from semiseg.base.files import read_json, write_text
from semiseg.datasets import preparing
from semiseg.datasets.kind import kind_of
from semiseg.engine.launch import train_run
from semiseg.feed.store import open_store
from semiseg.params.loading import read_yaml
from semiseg.runs import training_log
from semiseg.splits import split_files
from semiseg.study.study import DATA, Study

PARAMS = Path("params.yaml")
METHOD, PARTITION, SEEDS = "unimatch", 24, (0, 1, 2)


def trainings(engine: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """One row per seed: mIoU after the last iteration, seconds, and the precision in effect."""
    content = _content(engine)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / PARAMS, yaml.safe_dump(content, sort_keys=False))
    with chdir(folder):
        return list(_trained(Study.load("pocket")))


def _content(engine: dict[str, Any]) -> dict[str, Any]:
    """The runs of one cell of the suite `pocket`."""
    if not PARAMS.exists():
        raise UserError("the cell of pocket needs params.yaml; run the command in a clone's folder")
    whole = read_yaml(PARAMS)
    suite = whole["suites"]["pocket"]
    suite |= {
        "seeds": list(SEEDS),
        "splits": suite["splits"] | {"partitions": [PARTITION]},
        "recipe": suite["recipe"] | {"engine": engine},
        "methods": {METHOD: suite["methods"][METHOD]},
        "ablations": {},
    }
    only = {"datasets": {"pocket": whole["datasets"]["pocket"]}, "suites": {"pocket": suite}}
    return {"suite": "pocket", "methods": whole.get("methods") or {}} | only


def _trained(study: Study) -> Iterator[dict[str, Any]]:
    dataset = study.params.datasets["pocket"]
    preparing.prepare("pocket", dataset)
    for product in study.splits.values():
        wanted, store = product.content, open_store(DATA / "pocket/store")
        where = ("pocket", kind_of(dataset).literature, preparing.data_sha256("pocket"))
        split_files.write_split(product.files[0], wanted["family"], wanted["partition"], store, *where)
    for run in study.plan.runs:
        runtime = study.suite.runtime.model_dump(mode="json")
        places = {"data": DATA, "splits": study.folder / "splits", "dataset": dataset}
        train_run(run.config, run.path, runtime=runtime, say=lambda text: None, **places)
        record = read_json(run.path / "record.json")
        scored = [line for line in training_log.lines(run.path, "evaluation") if line["set"] == "test"]
        yield {
            "method": run.method,
            "seed": run.seed,
            "miou": round(scored[-1]["miou"], 2),
            "seconds": round(record["wall_seconds"], 1),
            "in_effect": record["precision"],
        }
