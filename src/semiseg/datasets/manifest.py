"""manifest.json: the sha256 of every file of a data set, and the verdict of its check. DVC tracks this file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.base.ids import ids_sha256
from semiseg.datasets.dataset import Dataset, Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import kind_of

FORMAT = 1


def manifest_path(name: str, root: Path = Path("data")) -> Path:
    return Path(root) / name / "manifest.json"


def build_manifest(
    dataset: Dataset, config: DatasetConfig, hashes: dict[Path, str], verdict: dict[str, Any]
) -> dict[str, Any]:
    """The manifest; it depends on names and contents only, so equal data give equal bytes."""
    listed = {relative(dataset, path): digest for path, digest in hashes.items()}
    subsets = {subset: _subset(samples) for subset, samples in dataset.subsets.items()}
    content = {
        "format": FORMAT,
        "dataset": dataset.name,
        "kind": config.kind,
        "classes": list(dataset.classes),
        "redistributable": dataset.redistributable,
        "subsets": subsets,
        "files": listed,
        **_coding(dataset, config),
    }
    # Colours are only for display, so they do not count as data.
    return {
        **content,
        "sha256": files.sha256_json(content),
        "palette": [list(colour) for colour in dataset.palette],
        "config_sha256": config_hash(config),
        "verdict": verdict,
    }


def _coding(dataset: Dataset, config: DatasetConfig) -> dict[str, Any]:
    """The class of each mask value or colour in a user's data, which a file defines and may change.

    In all other kinds the code defines it, and the hash of the code is stored as well.
    """
    return {"coding": dataset.coding.identity()} if kind_of(config).own else {}


def write_manifest(content: dict[str, Any], root: Path) -> None:
    """Write the manifest; keep notes of other modules (such as `made_from`) if the data are equal."""
    path = manifest_path(content["dataset"], root)
    before = files.read_json(path) if path.exists() else {}
    kept = before if before.get("sha256") == content["sha256"] else {}
    files.write_json(path, {**kept, **content})


def _subset(samples: Iterable[Sample]) -> dict[str, Any]:
    samples = tuple(samples)
    return {
        "images": len(samples),
        "masks": sum(sample.mask is not None for sample in samples),
        "ids_sha256": ids_sha256(sample.id for sample in samples),
    }


def relative(dataset: Dataset, path: Path) -> str:
    """The path below the source folder, or below prepared/ for masks made from the sources."""
    if path.is_relative_to(dataset.root):
        return path.relative_to(dataset.root).as_posix()
    last = len(path.parts) - 1 - path.parts[::-1].index("prepared")
    return "/".join(path.parts[last:])


def config_hash(config: DatasetConfig) -> str:
    """Hash of all settings that determine the samples; moving the files does not change it."""
    return files.sha256_json(config.model_dump(mode="json", exclude={"data_root"}))


def require_manifest(name: str, config: DatasetConfig, root: Path = Path("data")) -> dict[str, Any]:
    """The manifest of a data set that was checked with this configuration and is valid."""
    path = manifest_path(name, root)
    again = f"run `semiseg data check {name}`"
    if not path.exists():
        raise UserError(f"the data set {name} has not been checked ({path} is missing); {again}")
    manifest = files.read_json(path)
    if manifest.get("format") != FORMAT or manifest.get("config_sha256") != config_hash(config):
        raise UserError(f"{path} belongs to other settings of the data set {name}; {again}")
    problems = manifest["verdict"]["problems"]
    if problems:
        raise UserError(f"the check of the data set {name} found {count_of(problems)}, first: {problems[0]}; {again}")
    return manifest


def count_of(problems: list[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
