"""A data set of a few 32x32 images in VOC's layout and a params.yaml over it: a whole study that trains in seconds."""

from __future__ import annotations

import contextlib
import copy
import shutil
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

CLASSES = ("background", "square", "stripe")
SIZE = 32
METHODS = ("supervised", "fixmatch", "mean_teacher", "cutmix_seg", "unimatch")  # of studies with many runs


def draw(root: Path, counts: dict[str, int]) -> None:
    """Squares and stripes on noise, from a fixed seed."""
    generator = np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("".join(f"{index} {name}\n" for index, name in enumerate(CLASSES)))
    for subset, count in counts.items():
        ids = [f"{subset}_{number:03}" for number in range(count)]
        (root / "ImageSets/Segmentation" / f"{subset}.txt").write_text("\n".join(ids) + "\n")
        for one in ids:
            image, label = _scene(generator)
            Image.fromarray(image).save(root / "JPEGImages" / f"{one}.png")
            Image.fromarray(label).save(root / "SegmentationClass" / f"{one}.png")


def _scene(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image = generator.integers(0, 80, (SIZE, SIZE, 3), dtype=np.uint8)
    label = np.zeros((SIZE, SIZE), np.uint8)
    top, left = generator.integers(0, SIZE - 12, 2)
    image[top : top + 12, left : left + 12] = (200, 60, 60)
    label[top : top + 12, left : left + 12] = 1
    row = int(generator.integers(0, SIZE - 5))
    image[row : row + 5, :, 2] = 220
    label[row : row + 5] = 2
    label[0] = 255
    return image, label


def params(methods: dict | None = None, **changes) -> dict:
    """A valid params.yaml; `changes` are laid over the suite's blocks."""
    suite = {
        "dataset": "tiny",
        "splits": {"family": "stratified:0", "partitions": [4, "full"]},
        "seeds": [0],
        "recipe": {
            "network": {"architecture": "small", "width": 4},
            "crop": SIZE,
            "batch": {"labelled": 2, "unlabelled": 2},
            "iterations": 12,
            "optimiser": {"name": "adamw", "lr": 0.003, "schedule": "cosine"},
            "ema": {"decay": 0.9},
        },
        "evaluation": {"every": 4, "evaluated_on": "test", "selected_on": "val", "lastk": 2, "batch": 4,
                       "diagnostics": 4, "pictures": 2},
        "runtime": {"log_every": 4, "checkpoint_every": 3},
        "methods": methods or {"supervised": {}},
    }  # fmt: skip
    for block, values in changes.items():
        suite[block] = {**suite[block], **values} if isinstance(suite.get(block), dict) else values
    content = {
        "suite": "tiny",
        "dataset": "tiny",
        "datasets": {"tiny": {"kind": "pocket", "redistributable": True}},
        "methods": {},
        "suites": {"tiny": suite},
    }
    return copy.deepcopy(content)  # a test may change what it gets, not what the next one is given


def workspace(root: Path, content: dict) -> Path:
    """A folder with params.yaml and the raw images, as the root of a clone has them."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    draw(root / "data/tiny/raw", {"train": 12, "val": 4, "test": 5})
    return root


def with_workflow(root: Path, repository: Path) -> Path:
    """The repository's rules and profiles beside it, for tests that drive Snakemake or DVC."""
    for name in ("workflow", "profiles", "local", "slurm"):
        if (repository / name).is_dir():
            shutil.copytree(repository / name, root / name)
    for name in ("Snakefile", "dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(repository / name, root / name)
    with (root / ".gitignore").open("a") as stream:
        stream.write("/results/\n")  # these studies are not published, as the demo's is not
    return root


def snakemake_log(root: Path, since: float = 0.0) -> str:
    """Snakemake's full log in this folder; the terminal shows less."""
    found = sorted((root / ".snakemake/log").glob("*.log"))
    return "".join(path.read_text() for path in found if path.stat().st_mtime >= since)


def prepare(root: Path) -> None:
    """Check and decode the data set and write the lists of a workspace, in this process."""
    from semiseg.datasets import preparing
    from semiseg.feed.store import open_store
    from semiseg.splits import split_files
    from semiseg.study.study import Study

    with contextlib.chdir(root):
        study = Study.load()
        preparing.prepare("tiny", study.params.datasets["tiny"])
        store = open_store(Path("data/tiny/store"))
        sha256 = preparing.data_sha256("tiny")
        for product in study.splits.values():
            family, partition = product.content["family"], product.content["partition"]
            split_files.write_split(product.files[0], family, partition, store, "tiny", "pocket", sha256)
