"""The files of a finished training; spec.json is written last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, nn

from semiseg.base.files import atomic, write_npz, write_text
from semiseg.scoring.evaluator import Evaluator


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.yaml, with which `semiseg train FOLDER --config config.yaml` repeats the run."""
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def write_weights(folder: Path, networks: dict[str, nn.Module], kept: dict[str, dict[str, Tensor]]) -> None:
    """The last weights of every network, and the earlier weights that were kept, by prefix."""
    from safetensors.torch import save_file

    tensors = {
        f"{prefix}.{name}": value.detach().cpu().contiguous().clone()
        for prefix, weights in ({name: network.state_dict() for name, network in networks.items()} | kept).items()
        for name, value in weights.items()
        if not name.startswith("owned.")  # the method's modules are needed in training only
    }
    with atomic(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary)


def write_predictions(
    folder: Path, evaluator: Evaluator, networks: dict[str, nn.Module], reported: str, ids: list[str]
) -> None:
    """Label maps of the images that the report shows, and the reported network's confidence."""
    arrays = {}
    for label, network in networks.items():
        for one, prediction, confidence in evaluator.maps(network, ids):
            arrays[f"{one}/{label}"] = prediction
            if label == reported:
                arrays[f"{one}/confidence"] = confidence
    write_npz(folder / "predictions.npz", **arrays)
