"""The network of a finished run, for use on other images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.explain import explain
from semiseg.base.files import read_json
from semiseg.base.labels import voc_palette
from semiseg.datasets.manifest import manifest_path
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig
from semiseg.runs.evaluations import Evaluations
from semiseg.runs.run_folder import RunFolder

AFFECTS_RESULTS = False

NETWORKS = ("student", "teacher", "second")  # those that --network accepts; a run may hold snapshots, too


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode, and the meaning of its outputs."""

    run: Path
    spec_sha256: str
    label: str  # student, teacher or second
    network: nn.Module
    config: dict[str, Any]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    own_colours: bool = True  # False: the data set is not present, and the palette is VOC's


def _suite_of(run: Path) -> str:
    """results/SUITE/runs/…"""
    parts = run.resolve().parts
    return parts[parts.index("runs") - 1] if "runs" in parts else "SUITE"


def load(run: Path, label: str | None, device: torch.device, data: Path = Path("data")) -> Trained:
    """The network `label` of the run; by default the network that the method reports."""
    folder = RunFolder(run)
    spec = folder.spec
    if spec is None:
        raise UserError(
            f"{run} is not the folder of a finished run (it has no spec.json); `snakemake --profile local all "
            f"--config suite={_suite_of(run)}` trains it"
        )
    config = spec["config"]
    classes = Evaluations.load(_present(run, "evaluations.npz")).classes
    label = label or methods.of_run(config).reports
    weights = _weights(_present(run, "model.safetensors"), label)
    network = _build(run, config, len(classes))
    _fit(network, weights, run, len(classes))
    own = _palette(config["dataset"]["name"], classes, (*_beside(run), data))
    palette = own or voc_palette(len(classes))
    network = network.to(device).eval()
    return Trained(run, folder.spec_sha256, label, network, config, tuple(classes), palette, own is not None)


def _present(run: Path, name: str) -> Path:
    if not (run / name).exists() and (source := RunFolder(run).source):
        raise UserError(
            f"{run} was collected from {source} without weights; copy {name} into it, or train it in another "
            f"folder (`semiseg train FOLDER --config {run / 'config.yaml'}`)"
        )
    if not (run / name).exists():
        raise UserError(f"{run / name} is missing; restore it (`dvc checkout` or `dvc pull`), or train the run again")
    return run / name


def _weights(path: Path, label: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as stored:
            keys = list(stored.keys())
            chosen = {key: stored.get_tensor(key) for key in keys if key.startswith(f"{label}.")}
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); restore it, or train the run again") from error
    if not chosen:
        held = {key.split(".")[0] for key in keys}
        found = [name for name in NETWORKS if name in held]
        raise UserError(f"{path} holds no network {label}; choose --network {' or '.join(found)}")
    return {key.removeprefix(f"{label}."): value for key, value in chosen.items()}


def _build(run: Path, config: dict[str, Any], classes: int) -> nn.Module:
    """Build the architecture without start weights, which would be overwritten anyway."""
    try:
        chosen = NetworkConfig.model_validate(config["recipe"]["network"])
        method = methods.of_run(config, classes)
    except ValidationError as error:
        problem = explain(error, NetworkConfig, run / "spec.json").splitlines()[0]
        raise UserError(f"{problem}; the run was trained by another version of semiseg") from error
    bare = chosen.model_copy(update={"encoder_weights": "none", "encoder_weights_sha256": None})
    return networks.build(bare, classes, method.head)


def _fit(network: nn.Module, weights: dict[str, Tensor], run: Path, classes: int) -> None:
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise UserError(
                f"{run}/model.safetensors does not fit the run's configuration with {classes} classes: {name} is "
                f"{_shape(found.get(name))}, expected {_shape(wanted.get(name))}; the folder holds files of different "
                "trainings: restore it, or train the run again"
            )
    network.load_state_dict(weights)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "x".join(map(str, shape)) or "one number"


def _beside(run: Path) -> list[Path]:
    """The folder data/ of the project that contains the run; it does not depend on the current folder."""
    return [parent.parent / "data" for parent in run.resolve().parents if parent.name == "results"]


def _palette(dataset: str, classes: list[str], places: Iterable[Path]) -> tuple[tuple[int, int, int], ...] | None:
    """The data set's colours, if it is present and still has these classes."""
    for place in places:
        path = manifest_path(dataset, place)
        manifest = read_json(path) if path.exists() else {}
        if manifest.get("classes") == classes and "palette" in manifest:
            return tuple(tuple(colour) for colour in manifest["palette"])
    return None
