"""Split lists on disk: results/<suite>/splits/<family>-<partition>.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.base.files import read_json, sha256_file, sha256_json, write_json
from semiseg.base.fingerprint import fingerprint
from semiseg.base.ids import ids_sha256, read_ids
from semiseg.base.labels import IGNORE
from semiseg.splits.families import check_split, make_split
from semiseg.splits.split import Split

OWN = "own"
DATA = Path("data")


def wanted(family: str, partition: str, data_sha256: str | None, dataset: str) -> dict[str, Any]:
    """The inputs that an up-to-date list is made from."""
    code = sha256_json(fingerprint("semiseg.splits.families"))
    made_from = {"family": family, "partition": partition, "data": data_sha256, "code": code}
    return made_from | ({"list": _sha256(own_list(dataset, partition))} if family == OWN else {})


def write_split(
    path: Path, family: str, partition: str, store: Any, dataset: str, literature: str, data_sha256: str
) -> None:
    """Choose, check and write one split of a store's training pool."""

    def labels_of(image: str) -> set[int]:
        import numpy as np

        return set(np.unique(store.label(image)).tolist()) - {IGNORE}

    pool = store.subsets["train"]
    if family == OWN:
        _require_list(own_list(dataset, partition))
    if family == OWN and not literature:
        split = _own_split(own_list(dataset, partition), partition, store)
    else:
        split = make_split(family, partition, pool, labels_of, literature, DATA / dataset / "lists")
    if partition != "full" and not split.unlabelled and not store.subsets.get("extra"):
        raise UserError(f"the split {family} {partition} labels all {len(pool)} images of {dataset}; write `full`")
    check_split(split, pool, [one for name in ("val", "test") for one in store.subsets.get(name, ())])
    write_json(path, split.to_dict() | {"made_from": wanted(family, partition, data_sha256, dataset)})


def read_split(path: Path) -> Split:
    if not path.exists():
        suite = path.parts[path.parts.index("splits") - 1] if "splits" in path.parts else "SUITE"
        raise UserError(
            f"{path} does not exist; run `snakemake --profile local splits_all --config suite={suite}` first"
        )
    return Split.from_dict(read_json(path))


def own_list(dataset: str, partition: str) -> Path:
    """The path of a user's own list of labelled images."""
    return DATA / dataset / "lists" / f"{partition}.txt"


def _require_list(path: Path) -> None:
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; the split family own reads the labelled images from it, one a line "
            "(of a folder: paths below images/)"
        )


def _sha256(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _own_split(path: Path, partition: str, store: Any) -> Split:
    """A split from a user's list. For kind folder, lines are paths below images/, with or without suffix."""
    pool = sorted(store.subsets["train"])
    members = set(pool)
    labelled = tuple(sorted(_member(line, members, path, store) for line in read_ids(path)))
    return Split(OWN, partition, labelled, tuple(sorted(members.difference(labelled))), ids_sha256(labelled))


def _member(line: str, members: set[str], path: Path, store: Any) -> str:
    key = line if line in members else Path(line).with_suffix("").as_posix().removeprefix("images/")
    if key in members:
        return key
    elsewhere = [name for name, ids in store.subsets.items() if line in ids or key in ids]
    place = f"is in {elsewhere[0]}" if elsewhere else "is no image"
    raise UserError(
        f"{path} lists {line}, which {place}; list images with a mask that are in train, as paths below images/"
    )
