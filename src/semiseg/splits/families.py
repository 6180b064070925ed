"""Labelled and unlabelled parts of the training pool: families, partitions, and the hash that names a split."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.base.ids import ids_sha256, parse_ids
from semiseg.splits.lists import known_lists, literature_ids
from semiseg.splits.order import keyed_order
from semiseg.splits.split import Split
from semiseg.splits.stratified import stratified

Labels = Callable[[str], set[int]]
# family -> description for messages and documentation; `:k` families are numbered draws or seeds.
FAMILIES = {
    "full": "all images labelled, none unlabelled",
    "cps": "every k-th of the sorted pool (Chen et al. 2021); Cityscapes: the authors' lists",
    "stride": "every k-th of the sorted pool",
    "u2pl": "lists of U2PL (Wang et al. 2022); VOC: finely annotated images first",
    "classic": "92 to 1464 of VOC's own 1,464 (Zou et al. 2021), as most repositories have them",
    "classic_cps": "the same counts in the repository of CPS, where 732 differs",
    "stpp": "lists of ST++ (Yang et al. 2022), draws :0 to :2",
    "pixelssl": "lists of PixelSSL (Ke et al. 2020), draws :0 to :2",
    "random": "a draw by seed",
    "stratified": "a draw by seed that balances the classes' images; it looks at all masks of the pool",
    "own": "a text file of ids, `data/<set>/lists/<partition>.txt`",
}
FULL = "full"  # partition and family of all labels
LITERATURE = ("cps", "u2pl", "classic", "classic_cps", "stpp", "pixelssl")
SEEDED = ("random", "stratified")
_DRAWS = ("stpp", "pixelssl")
_VOC_POOL = 10582


def make_split(
    family: str,
    partition: str,
    pool: Sequence[str],
    labels_of: Labels | None = None,
    dataset: str = "",
    lists_dir: Path | None = None,
) -> Split:
    """The split `family`, `partition` of the pool; `dataset` is the data set of published lists."""
    base, draw = parse_family(family)
    check_partition(family, partition, dataset)
    ordered = sorted(pool)
    if base == "full":
        labelled = ordered
    elif base == "own":
        labelled = _own(partition, lists_dir)
    elif base == "random":
        labelled = keyed_order(ordered, f"random:{draw}")[: count_of(partition, len(ordered))]
    elif base == "stratified":
        if labels_of is None:
            raise UserError(f"the split family {family} needs the masks of the whole pool")
        labelled = stratified(ordered, labels_of, count_of(partition, len(ordered)), draw or 0)
    elif base == "stride" or (base == "cps" and dataset != "cityscapes"):
        labelled = ordered[:: _stride(family, partition)]
    else:
        key = f"{base}:{draw or 0}" if base in _DRAWS else base
        labelled = literature_ids(key, dataset, partition, lists_dir)
    return _split(family, partition, labelled, ordered, dataset)


def _split(family: str, partition: str, labelled: Iterable[str], pool: list[str], dataset: str) -> Split:
    chosen = tuple(sorted(labelled))
    members = set(chosen)
    unlabelled = tuple(k for k in pool if k not in members)
    split = Split(family, partition, chosen, unlabelled, ids_sha256(chosen))
    known = known_lists().get((family, dataset, partition))
    if known and len(pool) == _VOC_POOL and split.sha256 != known.ids_sha256:
        raise UserError(
            f"{family} {partition} of this pool has sha256 {split.sha256[:12]}…, but the published list "
            f"{known.ids_sha256[:12]}…: the pool is not the usual train_aug"
        )
    check_split(split, pool, ())
    return split


def check_split(split: Split, pool: Iterable[str], forbidden: Iterable[str]) -> None:
    """Check that the parts are disjoint, form the pool, avoid `forbidden` (val and test), and match the stored hash."""
    name = f"the split {split.family} {split.partition}"
    labelled, unlabelled, everything = set(split.labelled), set(split.unlabelled), set(pool)
    if not labelled:
        raise UserError(f"{name} has no labelled image")
    for part, ids in (("labelled", split.labelled), ("unlabelled", split.unlabelled)):
        if len(set(ids)) < len(ids):
            raise UserError(f"{name} lists {_some(k for k in set(ids) if ids.count(k) > 1)} twice as {part}")
    _refuse(labelled & unlabelled, f"{name} has in both parts")
    _refuse((labelled | unlabelled) & set(forbidden), f"{name} has images of val or test")
    _refuse((labelled | unlabelled) - everything, f"{name} has ids that the training pool does not have")
    if split.family != "full":
        _refuse(everything - labelled - unlabelled, f"{name} leaves out images of the pool")
    if ids_sha256(labelled) != split.sha256:
        raise UserError(f"{name} states sha256 {split.sha256[:12]}…, but its labelled ids have another; make it again")


def _refuse(ids: set[str], sentence: str) -> None:
    if ids:
        raise UserError(f"{sentence}: {_some(ids)}")


def _some(ids: Iterable[str]) -> str:
    listed = sorted(ids)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def split_name(family: str, partition: str) -> str:
    """The name of the split; `full` does not depend on the family."""
    return FULL if partition == FULL else f"{family}-{partition}".replace(":", "-").replace("/", "_")


def parse_family(family: str) -> tuple[str, int | None]:
    """`random:3` -> (random, 3)."""
    base, colon, number = family.partition(":")
    numbered = base in SEEDED + _DRAWS
    if base not in FAMILIES or (colon and not (numbered and number.isdecimal())) or (base in SEEDED and not colon):
        names = ", ".join(f"{name}:<seed>" if name in SEEDED else name for name in FAMILIES)
        raise UserError(f"there is no split family {family!r}; there are {names}")
    return base, int(number) if colon else None


def check_partition(family: str, partition: str, dataset: str) -> None:
    """Raise unless the family can make this partition of that data set."""
    base, draw = parse_family(family)
    if base in LITERATURE and not (base == "cps" and dataset != "cityscapes"):
        key = f"{base}:{draw or 0}" if base in _DRAWS else base
        offered = partitions(key, dataset)
        if partition not in offered:
            listed = ", ".join(offered) or "none"
            raise UserError(
                f"there is no list {family} {partition} for {dataset or 'this data set'} (there are: {listed})"
            )
    elif base in ("cps", "stride"):
        _stride(family, partition)
    elif base in SEEDED:
        count_of(partition, 10**9)


def partitions(family: str, dataset: str) -> list[str]:
    return [part for name, kind, part in known_lists() if name == family and kind == dataset]


def count_of(partition: str, pool: int) -> int:
    """`12` -> 12; `1/8` -> an eighth, rounded up as the field's lists are."""
    if re.fullmatch(r"[1-9]\d*", partition):
        count = int(partition)
    elif match := re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", partition):
        count = math.ceil(pool * int(match[1]) / int(match[2]))
    else:
        raise UserError(f"the partition {partition!r} is neither a count such as 12 nor a fraction such as 1/8")
    if count > pool:
        raise UserError(f"the partition {partition} asks for {count} labelled images, but the pool has {pool}")
    return count


def _stride(family: str, partition: str) -> int:
    match = re.fullmatch(r"1/([1-9]\d*)", partition)
    if not match:
        raise UserError(f"the split family {family} takes every k-th image: its partition reads 1/k, not {partition!r}")
    return int(match[1])


def _own(partition: str, lists_dir: Path | None) -> list[str]:
    if lists_dir is None:
        raise UserError("the split family own needs the folder of lists (lists_dir)")
    path = Path(lists_dir) / f"{partition}.txt"
    if not path.is_file():
        raise UserError(f"{path} does not exist; the split family own reads <lists folder>/<partition>.txt")
    return parse_ids(path.read_text(encoding="utf-8"))
