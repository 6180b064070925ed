"""The output of `semiseg data check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.datasets.checking import check_dataset
from semiseg.datasets.dataset import raw_folder
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.first_look.other_files import ignored
from semiseg.datasets.kind import kind_of
from semiseg.datasets.manifest import count_of, manifest_path
from semiseg.datasets.reading.folder_masks import MASK_SUFFIXES

Say = Callable[[str], None]


def check(name: str, config: DatasetConfig, root: Path = Path("data"), say: Say = print) -> dict[str, Any]:
    """Check the data set, store and print the verdict; problems are an error (exit code 2)."""
    verdict = check_dataset(name, config, root)
    for subset, summary in verdict["subsets"].items():
        sizes = ", ".join(f"{size} ({n})" for size, n in list(summary["sizes"].items())[:3])
        others = summary["images"] - sum(list(summary["sizes"].values())[:3])
        sizes += f", other sizes ({others})" * (others > 0)
        say(f"{subset}: {summary['images']} images, {summary['masks']} masks; {sizes}")
        for line in _histogram(summary):
            say(f"  {line}")
    if kind_of(config).own and (
        sentence := ignored((raw_folder(name, config, root) / part for part in ("images", "masks")), read=MASK_SUFFIXES)
    ):
        say(sentence)
    for warning in verdict["warnings"]:
        say(f"warning: {warning}")
    for problem in verdict["problems"]:
        say(f"problem: {problem}")
    say(f"verdict stored in {manifest_path(name, root)}")
    if verdict["problems"]:
        problems = verdict["problems"]
        raise UserError(f"the data set {name} has {count_of(problems)}, first: {problems[0]}")
    return verdict


def _histogram(summary: dict[str, Any]) -> list[str]:
    pixels = summary.get("pixels", {})
    total = max(sum(pixels.values()), 1)
    width = max((len(name) for name in pixels), default=0)
    return [
        f"{name:<{width}} {100 * count / total:6.2f} % of labelled pixels, in {summary['images_with'][name]} images"
        for name, count in pixels.items()
    ]
