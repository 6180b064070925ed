"""From the configuration of a data set to a checked manifest and a decoded store; nothing is done twice."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from semiseg import files
from semiseg.data import manifest
from semiseg.data.datasets import open_dataset, raw_folder
from semiseg.data.options import DatasetConfig
from semiseg.runs.spec import fingerprint

ROOT = Path("data")


@functools.cache
def code_of(kind: str) -> str:
    """Hash of the code that turns source files into pixels and labels of this kind of data set."""
    reader = "voc" if kind == "pocket" else kind
    modules = [f"semiseg.data.{reader}", "semiseg.data.datasets", "semiseg.data.store"]
    return files.sha256_json(fingerprint(*modules, *(["semiseg.data.pocket"] if kind == "pocket" else [])))


def wanted(name: str, config: DatasetConfig, root: Path = ROOT) -> dict[str, Any]:
    """What the manifest should say that it was made from."""
    settings = config.model_dump(mode="json", exclude={"data_root", "redistributable"})
    return {"settings": settings, "code": code_of(config.kind), "inventory": _inventory(name, config, root)}


def carried(name: str, config: DatasetConfig, root: Path = ROOT) -> dict[str, Any] | None:
    """What it does say, or None; without the sources at hand (after `dvc pull`) the manifest is taken at its word."""
    path = manifest.manifest_path(name, root)
    if not path.exists():
        return None
    made_from = files.read_json(path).get("made_from", {})
    here = raw_folder(name, config, root).is_dir()
    note = root / name / "inventory.json"
    return {**made_from, "inventory": files.read_json(note) if here and note.exists() else None}


def data_sha256(name: str, root: Path = ROOT) -> str | None:
    """What a run's spec says of its data: every source file and the code that decodes them; None when unprepared."""
    path = manifest.manifest_path(name, root)
    if not path.exists():
        return None
    content = files.read_json(path)
    return files.sha256_json([content["sha256"], content.get("made_from", {}).get("code")])


def prepare(name: str, config: DatasetConfig, root: Path = ROOT) -> None:
    """Get, check and decode; the manifest is written when all of it has succeeded."""
    from semiseg.data import store
    from semiseg.data.check import check_dataset
    from semiseg.errors import UserError

    _get(name, config, root)
    inventory = _inventory(name, config, root)
    verdict = check_dataset(name, config, root)
    path = manifest.manifest_path(name, root)
    if verdict["problems"]:
        shown = "\n  ".join(verdict["problems"][:5])
        more = f"\n  and {len(verdict['problems']) - 5} more, in {path}" if len(verdict["problems"]) > 5 else ""
        raise UserError(f"the data set {name} cannot be used as it is:\n  {shown}{more}")
    store.build(open_dataset(name, config, root), root / name / "store")
    made_from = {key: value for key, value in wanted(name, config, root).items() if key != "inventory"}
    files.write_json(root / name / "inventory.json", inventory)
    files.write_json(path, files.read_json(path) | {"made_from": made_from})


def ensure_store(name: str, config: DatasetConfig, root: Path = ROOT) -> Path:
    """The folder of the decoded images; made when it is not there, as after a clone and `dvc pull`."""
    from semiseg.data import store

    folder = root / name / "store"
    if not (folder / store.INDEX).exists():
        _get(name, config, root)
        store.build(open_dataset(name, config, root), folder)
    return folder


def _get(name: str, config: DatasetConfig, root: Path) -> None:
    if config.kind == "pocket":
        from semiseg.data import pocket

        if not raw_folder(name, config, root).is_dir():
            pocket.generate(raw_folder(name, config, root))
    else:
        from semiseg.data.commands import get

        get(name, config, root)


def _inventory(name: str, config: DatasetConfig, root: Path) -> str | None:
    """Names, sizes and times of the source files, hashed: it tells that something changed, never what data are."""
    source = raw_folder(name, config, root)
    if not source.is_dir():
        return None
    listed = []
    for path in sorted(source.rglob("*")):
        status = path.stat()
        if path.is_file():
            listed.append([path.relative_to(source).as_posix(), status.st_size, status.st_mtime_ns])
    return files.sha256_json(listed)
