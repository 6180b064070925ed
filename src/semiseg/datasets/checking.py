"""The check of a whole data set. Its verdict is stored in manifest.json, which training requires."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.base.ids import ids_sha256
from semiseg.base.labels import IGNORE
from semiseg.base.progress import progress
from semiseg.datasets.dataset import Dataset, open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.inspection import Inspection, inspect_all
from semiseg.datasets.kind import kind_of
from semiseg.datasets.manifest import build_manifest, write_manifest
from semiseg.splits.lists import known_lists

_MOST = 20  # problems of one kind that are listed
_DUPLICATES_LISTED = 50
RARE = 0.01  # share of labelled pixels below which a class may never be predicted
Findings = dict[str, list[Inspection]]


def check_dataset(name: str, config: DatasetConfig, root: Path = Path("data")) -> dict[str, Any]:
    """Inspect every file, write <root>/<name>/manifest.json and return the verdict, valid if `problems` is empty."""
    dataset = open_dataset(name, config, root)
    findings = _inspect(dataset)
    verdict = judge(dataset, config, findings)
    hashes = {path: digest for found in findings.values() for one in found for path, digest in one.hashes.items()}
    write_manifest(build_manifest(dataset, config, hashes, verdict), root)
    return verdict


def _inspect(dataset: Dataset) -> Findings:
    total = sum(len(samples) for samples in dataset.subsets.values())
    with progress(f"checking {dataset.name}", total) as advance:
        return {s: list(inspect_all(dataset, samples, advance)) for s, samples in dataset.subsets.items()}


def judge(dataset: Dataset, config: DatasetConfig, findings: Findings) -> dict[str, Any]:
    problems = [*_empty(dataset, config, findings), *_file_problems(findings), *_shared_ids(findings)]
    warnings = list(dataset.notes)
    if config.complete:
        problems += _official(config, findings)
    problems += _label_problems(dataset, findings)
    own = kind_of(config).own
    warnings += _label_warnings(dataset, findings, never_shown(dataset.classes, findings) if own else ())
    if own:
        warnings += rare_classes(dataset.classes, findings)
    duplicates = find_duplicates(findings)
    across = [pair for pair in duplicates if len({place.split("/")[0] for place in pair}) > 1]
    if across:
        sentence = f"{len(across)} images lie in two subsets with equal bytes, first: {' = '.join(across[0])}"
        # Official lists cannot be corrected. In a user's own data, a validation image in the training set is a leak.
        (problems if not kind_of(config).restricted else warnings).append(sentence)
    if len(duplicates) > len(across):
        warnings.append(f"{len(duplicates) - len(across)} images lie in one subset twice")
    return {
        "ok": not problems,
        "problems": problems,
        "warnings": warnings,
        "duplicates": duplicates[:_DUPLICATES_LISTED],
        "subsets": {subset: _summary(dataset, found) for subset, found in findings.items()},
    }


def _empty(dataset: Dataset, config: DatasetConfig, findings: Findings) -> list[str]:
    """Subsets without images: neither training nor evaluation is possible."""
    kind = kind_of(config)
    needed = ["train", "val"] + ["test"] * kind.has_test(config)
    return [
        f"{subset} holds no image; look at {kind.place.format(subset)} in {dataset.root}"
        for subset in needed
        if not findings.get(subset)
    ]


def _file_problems(findings: Findings) -> list[str]:
    wrong = [one.problem for found in findings.values() for one in found if one.problem]
    enough = [int(found.group(1)) for one in wrong if (found := re.search(r"write `tolerance: (\d+)`", one))]
    if len(enough) > 1:
        wrong.insert(
            0, f"{len(enough)} masks hold labels that are no class; `tolerance: {max(enough)}` suits all of them"
        )
    if len(wrong) > _MOST:
        return [*wrong[:_MOST], f"and {len(wrong) - _MOST} more files with problems"]
    return wrong


def _shared_ids(findings: Findings) -> list[str]:
    home: dict[str, str] = {}
    shared = []
    for subset, found in findings.items():
        for one in found:
            first = home.setdefault(one.sample.id, subset)
            if first != subset:
                shared.append(f"{one.sample.id} ({first}, {subset})")
    return [f"{len(shared)} images are in two subsets: {', '.join(shared[:5])}"] if shared else []


def _official(config: DatasetConfig, findings: Findings) -> list[str]:
    """Compare counts, and ids if there is a reference list."""
    kind = kind_of(config)
    sentences = []
    for subset, count in kind.expected(config).items():
        if subset not in findings:
            continue
        found = len(findings[subset])
        hint = "get the whole data set, or set complete: false"
        if found != count:
            sentences.append(f"{subset} has {found} images, officially {count}; {hint}")
        reference = known_lists().get(("reference", kind.literature, kind.reference_list(config, subset)))
        if (
            reference
            and found == count
            and ids_sha256(one.sample.id for one in findings[subset]) != reference.ids_sha256
        ):
            sentences.append(f"{subset} has {count} images, but not the official ones; {hint}")
    return sentences


def _totals(found: list[Inspection]) -> np.ndarray:
    return sum((one.pixels for one in found if one.pixels is not None), np.zeros(256, np.int64))


def _label_problems(dataset: Dataset, findings: Findings) -> list[str]:
    sentences = []
    for subset, found in findings.items():
        masks = [one for one in found if one.pixels is not None]
        if not masks:
            continue
        present = np.flatnonzero(_totals(masks)[: len(dataset.classes)])
        if len(present) == 0:
            sentences.append(f"the masks of {subset} hold no class at all, only ignored pixels")
        elif len(present) == 1 and subset == "train":
            sentences.append(
                f"every labelled pixel of {subset} is {dataset.classes[present[0]]}; check values and classes"
            )
    return sentences


def _label_warnings(dataset: Dataset, findings: Findings, reported: Collection[str]) -> list[str]:
    """Classes that a subset lacks, without those `reported` elsewhere; and masks without a labelled pixel."""
    sentences = []
    for subset, found in findings.items():
        masks = [one for one in found if one.pixels is not None]
        absent = [c for c, n in zip(dataset.classes, _totals(masks), strict=False) if n == 0 and c not in reported]
        if masks and absent:
            sentences.append(f"{subset} has no pixel of {', '.join(absent)}")
        empty = [one.sample.id for one in masks if one.pixels[:IGNORE].sum() == 0]
        if empty:
            sentences.append(f"{len(empty)} masks of {subset} hold ignored pixels only, first: {empty[0]}")
    return sentences


def rare_classes(classes: Sequence[str], findings: Findings) -> list[str]:
    """Report classes that no mask shows, and classes so rare that a training may never predict them."""
    masks = {subset: [one for one in found if one.pixels is not None] for subset, found in findings.items()}
    sentences = []
    if never := never_shown(classes, findings):
        where = " or ".join(subset for subset, found in masks.items() if found)
        one = len(never) == 1
        sentences.append(
            f"no mask of {where} has a pixel of the {'class' if one else 'classes'} {', '.join(never)}; correct "
            f"{'its value or colour' if one else 'their values or colours'} in classes.yaml, or remove "
            f"{'it' if one else 'them'} there"
        )
    pixels = _totals(masks["train"])[: len(classes)]
    for k, (name, count) in enumerate(zip(classes, pixels, strict=False)):
        share = count / max(pixels.sum(), 1)
        if 0 < share < RARE:
            images = sum(one.pixels[k] > 0 for one in masks["train"])
            sentences.append(
                f"{name} has {100 * share:.2g} % of the labelled pixels of train, in {images} of {len(masks['train'])} "
                "images: a training may never predict it. `criterion: {class_weights: balanced, dice: 0.5}` in the "
                "suite's recipe helps, and so do more labels of it"
            )
    return sentences


def never_shown(classes: Sequence[str], findings: Findings) -> list[str]:
    """Classes without a pixel in any subset; none if the masks hold ignored pixels only, which is a problem itself."""
    pixels = _totals([one for found in findings.values() for one in found])[: len(classes)]
    return [name for name, count in zip(classes, pixels, strict=True) if not count] if pixels.any() else []


def find_duplicates(findings: Findings) -> list[list[str]]:
    """Groups of images with equal bytes, as lists of subset/id."""
    places: dict[str, list[str]] = defaultdict(list)
    for subset, found in findings.items():
        for one in found:
            if one.sample.image in one.hashes:
                places[one.hashes[one.sample.image]].append(f"{subset}/{one.sample.id}")
    return sorted(place for place in places.values() if len(place) > 1)


def _summary(dataset: Dataset, found: list[Inspection]) -> dict[str, Any]:
    masks = [one.pixels for one in found if one.pixels is not None]
    sizes = Counter(f"{one.size[1]}x{one.size[0]}" for one in found if one.size)
    totals = _totals(found)
    summary: dict[str, Any] = {"images": len(found), "masks": len(masks), "sizes": _common(sizes)}
    if masks:
        images = np.sum([pixels > 0 for pixels in masks], axis=0)
        summary["pixels"] = {name: int(n) for name, n in zip(dataset.classes, totals, strict=False)}
        summary["pixels_ignored"] = int(totals[IGNORE])
        summary["images_with"] = {name: int(n) for name, n in zip(dataset.classes, images, strict=False)}
    return summary


def _common(sizes: Counter[str], most: int = 10) -> dict[str, int]:
    """The most frequent sizes; ties are ordered by name, so the manifest does not depend on the order of the files."""
    ranked = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in ranked[most:])
    return dict(ranked[:most]) | ({"others": rest} if rest else {})
