"""Split lists on disk: results/<suite>/splits/<family>-<partition>.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semiseg.data.splits import Split, check_split, make_split
from semiseg.errors import UserError
from semiseg.files import read_json, sha256_json, write_json
from semiseg.runs.spec import fingerprint


def wanted(family: str, partition: str, data_sha256: str | None) -> dict[str, Any]:
    """What a list should say that it was made from."""
    code = sha256_json(fingerprint("semiseg.data.splits"))
    return {"family": family, "partition": partition, "data": data_sha256, "code": code}


def write_split(path: Path, family: str, partition: str, store: Any, dataset: str, kind: str, data_sha256: str) -> None:
    """Choose, check and write one split of a store's training pool."""

    def labels_of(image: str) -> set[int]:
        import numpy as np

        return set(np.unique(store.label(image)).tolist()) - {255}

    pool = store.subsets["train"]
    split = make_split(family, partition, pool, labels_of, kind, Path("data") / dataset / "lists")
    if partition != "full" and not split.unlabelled:
        raise UserError(f"the split {family} {partition} labels all {len(pool)} images of {dataset}; write `full`")
    check_split(split, pool, [one for name in ("val", "test") for one in store.subsets.get(name, ())])
    write_json(path, split.to_dict() | {"made_from": wanted(family, partition, data_sha256)})


def read_split(path: Path) -> Split:
    if not path.exists():
        raise UserError(f"{path} does not exist; run `snakemake --profile local splits_all` first")
    return Split.from_dict(read_json(path))
