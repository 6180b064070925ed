"""A finished run on corrupted images: mIoU for each kind and strength, its drop, and its error over images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from semiseg.base.errors import UserError
from semiseg.base.files import write_json
from semiseg.datasets import preparing
from semiseg.feed.store import Store, open_store
from semiseg.hardware.device import Speed, choose_device
from semiseg.inference import trained
from semiseg.params import loading
from semiseg.runs.run_folder import RunFolder
from semiseg.runs.seal import sealed
from semiseg.scoring.corruptions import KINDS, STRENGTHS, CorruptedStore
from semiseg.scoring.evaluator import Evaluator
from semiseg.scoring.metrics.miou import Miou

AFFECTS_RESULTS = False

NAME = "corruptions.json"
RESAMPLES = 2_000


def score(run: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Write corruptions.json beside the run's eval.json, for the network that the method reports."""
    device = choose_device() if device is None else device
    loaded = trained.load(run, None, device)
    settings, store = loaded.config["evaluation"], _store(run, loaded)
    speed = Speed(loaded.config["recipe"]["engine"], device)
    network, ids = speed.place(loaded.network), list(store.subsets[settings["evaluated_on"]])
    weights = draws([store.group(one) or one for one in ids])

    def drawn(worse: Any) -> tuple[float, np.ndarray]:
        evaluator = Evaluator(worse, settings["protocol"], settings["batch"], len(loaded.classes), speed)
        table = Miou.table(evaluator.matrices(network, ids))
        return float(Miou.score(np.ones((1, len(ids))), table)[0]), Miou.score(weights, table)

    clean, of_clean = drawn(store)
    scores = []
    for kind in KINDS:
        for strength in STRENGTHS:
            miou, spread = drawn(CorruptedStore(store, kind, strength))
            scores.append({
                "kind": kind, "strength": strength, "miou": miou, "error": float(spread.std(ddof=1)),
                "drop": miou - clean, "drop_error": float((spread - of_clean).std(ddof=1)),
            })  # fmt: skip
    content = sealed({
        "spec_sha256": loaded.spec_sha256, "network": loaded.label, "evaluated_on": settings["evaluated_on"],
        "clean": clean, "scores": scores,
    })  # fmt: skip
    write_json(run / NAME, content)
    return content


def draws(groups: list[str]) -> np.ndarray:
    """float64 [RESAMPLES, images]: a bootstrap over images; those of one group (drive, video) are drawn together."""
    names, unit_of = np.unique(groups, return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    return np.random.default_rng(0).multinomial(len(names), share, RESAMPLES)[:, unit_of].astype(np.float64)


def _store(run: Path, loaded: trained.Trained) -> Store:
    """The decoded data set that the run was evaluated on."""
    name = loaded.config["dataset"]["name"]
    known = loading.load("params.yaml").datasets
    if name not in known:
        raise UserError(f"{run} was trained on {name}, which params.yaml does not define")
    store = open_store(preparing.ensure_store(name, known[name]))
    if preparing.data_sha256(name, Path("data")) != RunFolder(run).spec["data"]:
        raise UserError(f"data/{name} differs from the data set that {run} was trained on; restore that version")
    return store
