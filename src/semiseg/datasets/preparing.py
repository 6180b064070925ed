"""Prepares a data set: gets it, checks it, writes its manifest and its decoded store; finished steps are skipped."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.base.fingerprint import fingerprint
from semiseg.datasets import manifest
from semiseg.datasets.dataset import open_dataset, raw_folder
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kind import REGISTRY, kind_of

ROOT = Path("data")


@functools.cache
def code_of(kind: str) -> str:
    """Hash of the code that turns source files into pixels and labels of this kind of data set."""
    modules = (REGISTRY.module(kind), "semiseg.datasets.dataset", "semiseg.feed.store")
    return files.sha256_json(fingerprint(*modules))


def wanted(name: str, config: DatasetConfig, root: Path = ROOT) -> dict[str, Any]:
    """The inputs of an up-to-date manifest."""
    settings = config.model_dump(mode="json", exclude={"data_root", "redistributable"})
    return {"settings": settings, "code": code_of(config.kind), "inventory": _inventory(name, config, root)}


def carried(name: str, config: DatasetConfig, root: Path = ROOT) -> dict[str, Any] | None:
    """The inputs named in the manifest, or None; without sources (after `dvc pull`) the manifest is trusted."""
    path = manifest.manifest_path(name, root)
    if not path.exists():
        return None
    made_from = files.read_json(path).get("made_from", {})
    right = made_from == {key: value for key, value in wanted(name, config, root).items() if key != "inventory"}
    return {**made_from, "inventory": _recognised(name, config, root) if right else None}


def data_sha256(name: str, root: Path = ROOT) -> str | None:
    """Hash of the data in a run's spec: every source file and the decoding code; None if unprepared."""
    path = manifest.manifest_path(name, root)
    if not path.exists():
        return None
    content = files.read_json(path)
    # A check of changed files drops `made_from` until they are prepared: the code is then today's.
    made_from = content.get("made_from")
    return files.sha256_json([content["sha256"], made_from["code"] if made_from else code_of(content["kind"])])


def prepare(name: str, config: DatasetConfig, root: Path = ROOT) -> None:
    """Get, check and decode the data set; the manifest is written after all steps have succeeded."""
    from semiseg.datasets.checking import check_dataset

    _get(name, config, root)
    inventory = _inventory(name, config, root)
    verdict = check_dataset(name, config, root)
    path = manifest.manifest_path(name, root)
    if verdict["problems"]:
        shown = "\n  ".join(verdict["problems"][:5])
        more = f"\n  and {len(verdict['problems']) - 5} more, in {path}" if len(verdict["problems"]) > 5 else ""
        raise UserError(f"the data set {name} has problems:\n  {shown}{more}")
    made_from = {key: value for key, value in wanted(name, config, root).items() if key != "inventory"}
    files.write_json(path, files.read_json(path) | {"made_from": made_from})
    _decode(name, config, root)
    files.write_json(root / name / "inventory.json", inventory)


def ensure_store(name: str, config: DatasetConfig, root: Path = ROOT) -> Path:
    """The folder of the decoded images of the manifest; it is made again after a clone or a change of the manifest.

    `dvc pull` and `dvc checkout` bring a manifest without pixels; existing pixels may belong to another manifest.
    """
    if not _decoded(name, root):
        _get(name, config, root)
        if manifest.manifest_path(name, root).exists() and _recognised(name, config, root) is None:
            raise UserError(
                f"the files in {raw_folder(name, config, root)} differ from {manifest.manifest_path(name, root)}; "
                f"put the right ones there, or run `semiseg data prepare {name}` to use these "
                "(all runs will be trained again)"
            )
        _decode(name, config, root)
    return root / name / "store"


def _decode(name: str, config: DatasetConfig, root: Path) -> None:
    """Update the store to the manifest, and note the manifest in the store."""
    from semiseg.feed import store

    folder = root / name / "store"
    with files.locked(root / name / ".decoding"):
        if _decoded(name, root):  # another process has done it meanwhile
            return
        note = files.read_json(folder / "made_from.json") if (folder / "made_from.json").exists() else None
        if note != _mark(name, root):  # the store records its sources, but not the code that decoded them
            (folder / store.INDEX).unlink(missing_ok=True)
        store.build(open_dataset(name, config, root), folder)
        files.write_json(folder / "made_from.json", _mark(name, root))


def _decoded(name: str, root: Path) -> bool:
    from semiseg.feed import store

    folder = root / name / "store"
    note = folder / "made_from.json"
    return (folder / store.INDEX).exists() and note.exists() and files.read_json(note) == _mark(name, root)


def _mark(name: str, root: Path) -> list[Any]:
    """Identity of the decoded store: the manifest's files, the settings, and the code."""
    path = manifest.manifest_path(name, root)
    content = files.read_json(path) if path.exists() else {}
    return [content.get("sha256"), content.get("made_from")]


def _recognised(name: str, config: DatasetConfig, root: Path) -> str | None:
    """The inventory of the sources if they match the manifest; None if they differ or are absent.

    Names, sizes and times are compared with the previous ones. If these differ, as after a clone or a copy, the bytes
    are compared once.
    """
    found = _inventory(name, config, root)
    note = root / name / "inventory.json"
    if found is None or (note.exists() and files.read_json(note) == found):
        return found
    if _sources_sha256(name, config, root) != files.read_json(manifest.manifest_path(name, root))["sha256"]:
        return None
    files.write_json(note, found)
    return found


def _sources_sha256(name: str, config: DatasetConfig, root: Path) -> str | None:
    """The hash of the sources as a manifest of the present files would state it; None if files are missing."""
    try:
        dataset = open_dataset(name, config, root)
        samples = [sample for subset in dataset.subsets.values() for sample in subset]
        paths = [path for sample in samples for path in (sample.image, sample.mask) if path is not None]
        hashes = {path: files.sha256_file(path) for path in paths}
    except (UserError, OSError):
        return None
    return manifest.build_manifest(dataset, config, hashes, {})["sha256"]


def _get(name: str, config: DatasetConfig, root: Path) -> None:
    from semiseg.datasets.get.getting import get

    get(name, config, root)


def _inventory(name: str, config: DatasetConfig, root: Path) -> str | None:
    """Hash of names, sizes and times of the source files: it detects changes but does not identify the data."""
    source = raw_folder(name, config, root)
    if not source.is_dir():
        return None
    listed = []
    for path in sorted(files.below(source)):
        status = path.stat()
        listed.append([path.relative_to(source).as_posix(), status.st_size, status.st_mtime_ns])
    return files.sha256_json([listed, inputs] if (inputs := _inputs(config)) else listed)


def _inputs(config: DatasetConfig) -> list[str | None]:
    """Hashes of files outside the sources that the configuration names and that affect samples or labels."""
    named = kind_of(config).inputs(config)
    return [files.sha256_file(path) if path and path.is_file() else None for path in named]
