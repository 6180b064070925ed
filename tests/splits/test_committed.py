"""Committed results show no images of data that must not be redistributed."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest
import yaml

from semiseg.params import loading

ROOT = Path(__file__).resolve().parents[2]
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
ARRAYS = (".npz", ".npy")  # label maps of run folders
PLOTS = (("plots",), ("report", "plots"))


def committed() -> list[PurePosixPath]:
    listed = subprocess.run(["git", "ls-files", "-z", "results"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    return [PurePosixPath(name) for name in listed.stdout.split("\0") if name]


def datasets_of(suite: str) -> set[str]:
    """By its records, and by params.yaml where it still names the suite."""
    records = ROOT / "results" / suite / "records.jsonl"
    found = {json.loads(line)["dataset"] for line in records.read_text().splitlines()} if records.exists() else set()
    params = loading.load(ROOT / "params.yaml")
    return found | ({params.suites[suite].dataset} if suite in params.suites else set())


@functools.cache
def restricted(suite: str) -> bool:
    """A data set counts as redistributable only if this is declared."""
    declared = yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"]
    return any(not declared.get(name, {}).get("redistributable", False) for name in datasets_of(suite))


def shows_images(path: PurePosixPath) -> bool:
    """`path` is below results/<suite>: drawn plots are the only pictures that it may be."""
    folders = path.parts[2:-1]
    if folders in PLOTS and path.suffix in (".png", ".svg"):
        return False
    return path.suffix.lower() in (*IMAGES, *ARRAYS) or "pictures" in folders or folders[:1] == ("runs",)


def embedded(text: str, plot: bool = False) -> list[str]:
    """Kinds of pictures inside a page. Matplotlib puts a plot's colour maps into its SVG, as PNG; no page needs any."""
    kinds = re.findall(r"data:\s*image/([\w.+-]*)", text, re.IGNORECASE)
    return [kind for kind in kinds if not (plot and kind.lower() == "png")]


def test_committed_results_of_restricted_data_show_no_image():
    paths = committed()
    suites = {path.parts[1] for path in paths if len(path.parts) > 2}
    wrong = [str(path) for path in paths if restricted(path.parts[1]) and shows_images(path)]
    assert not wrong, f"{len(wrong)} of {len(paths)} files in {sorted(suites)}"


def test_pages_of_restricted_data_embed_no_picture():
    for path in committed():
        if path.suffix in (".html", ".svg", ".md") and len(path.parts) > 2 and restricted(path.parts[1]):
            assert not embedded((ROOT / path).read_text(), plot=path.suffix == ".svg"), path


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif", "svg+xml", "x-icon", "JPEG"])
def test_every_kind_of_embedded_picture_is_found(kind):
    text = f'<img src="data:image/{kind};base64,AAAA">'
    assert embedded(text)
    assert embedded(text, plot=True) == ([] if kind == "png" else [kind])
    assert not embedded("pictures of the data: images")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("plots/label_efficiency.png", False), ("report/plots/confusion.png", False), ("report/runs/a.html", False),
        ("tables/comparison.csv", False), ("report/pictures.html", False), ("report/pictures/0-image.png", True),
        ("report/pictures/list.json", True), ("report/0.JPG", True), ("plots/deeper/0.png", True),
        ("runs/camvid/full/a/seed0/predictions.npz", True), ("report/runs/predictions/plots/0.png", True),
    ],
)  # fmt: skip
def test_what_counts_as_an_image(path, expected):
    assert shows_images(PurePosixPath("results/camvid") / path) == expected


def test_which_suites_are_restricted():
    assert restricted("camvid") and restricted("voc") and not restricted("pocket")
