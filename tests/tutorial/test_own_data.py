"""All commands of docs/own-data.md, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests import tiny

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/own-data.md").read_text()
COMMANDS = re.findall(r"^```\n((?:semiseg|snakemake) .*)\n```", PAGE, re.MULTILINE)
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "HF_HOME": os.devnull,  # no start weights from a cache
    "CUDA_VISIBLE_DEVICES": "",
}


def block(kind: str) -> dict:
    return yaml.safe_load(re.search(rf"^```yaml {kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL).group(1))


def fields(root: Path) -> None:
    """Five years of photographs, some labelled, of the kinds that the page promises."""
    random = np.random.default_rng(0)
    for year in range(2020, 2025):
        for number in range(6):
            name = f"{year}/{'ab'[number % 2]}_{number:03}"
            height, width = 40 + 8 * number, 48
            label = np.repeat(random.integers(0, 3, (height, 1)), width, axis=1).astype(np.uint8)
            image = (label[..., None] * [90, 40, 70] + random.integers(0, 60, (height, width, 3))).astype(np.uint8)
            (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            suffix = (".jpg", ".png", ".tif", ".webp")[number % 4]
            Image.fromarray(image).save(root / "images" / f"{name}{suffix}")
            if number < 4:
                label[0] = 255
                (root / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(label).save(root / "masks" / f"{name}.png")


def shorten(root: Path) -> None:
    """The proposed suites, with fewer runs of fewer iterations: they take minutes instead of hours."""
    path = root / "params.local.yaml"
    content = yaml.safe_load(path.read_text())
    for suite in content["suites"].values():
        suite["seeds"] = [0]
        suite["recipe"] |= {"iterations": 40, "crop": 32}
        suite["recipe"]["network"]["width"] = 8
        suite["evaluation"] |= {"every": 20}
    tried = content["suites"]["fields_try"]
    tried["methods"] = {"supervised": {}, "unimatch": {}}
    path.write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("clone")
    (root / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    fields(root / "fields")
    return tiny.with_workflow(root, REPOSITORY)


def call(root: Path, command: str, code: int = 0) -> str:
    done = subprocess.run(
        command.split(), cwd=root, env=ENVIRONMENT, timeout=600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


@pytest.mark.slow
def test_the_page_leads_from_images_to_predictions(study):
    assert len(COMMANDS) == 8
    init, check, plan, trial, advise, final, predict, export = COMMANDS
    told = call(study, init)
    assert "30 images, 20 of them with a mask" in told
    assert "with `group_pattern: '^(.+)/'` no group is split over train and val" in told
    assert "no start weights were found" in told and "into params.local.yaml" in told
    proposed = yaml.safe_load((study / "fields/classes.yaml").read_text())
    assert [one["value"] for one in proposed["classes"]] == [one["value"] for one in block("classes")["classes"]]
    (study / "fields/classes.yaml").write_text(yaml.safe_dump(block("classes")))
    shorten(study)

    told = call(study, check)
    assert "weed" in told
    assert "images without a mask are left out: their groups are in val or test" in told
    told = call(study, plan)
    assert "4 runs, 0 done, 4 left" in told and "hours on CPU cores" in told and "GPU-hours" not in told
    call(study, trial)
    assert (study / "results/fields_try/report/index.html").exists()
    table = (study / "results/fields_try/tables/comparison.csv").read_text()
    assert table.count(",done") == 4
    # The page says that nothing is ever written to the folder but classes.yaml.
    assert {path.name for path in (study / "fields").iterdir()} == {"images", "masks", "classes.yaml"}

    told = call(study, advise)
    assert [line.split(":")[0] for line in told.splitlines()[:5]] == ["Method", "Tuning", "Labels", "Classes", "Next"]
    assert "with one group of validation images this may be chance" in told
    listed = (study / "advice/fields/next.txt").read_text().split()
    assert 1 <= len(listed) <= 10 and all((study / f"advice/fields/masks/{one}.png").exists() for one in listed)
    call(study, final)
    [run] = [path.parent for path in study.glob("results/fields_final/runs/fields/full/*/*/seed0/spec.json")]

    broken = study / "fields/images/2024/broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    found = run.relative_to(study).as_posix()
    told = call(study, predict.replace(predict.split()[2], found), code=1)
    assert "1 of 31 images have no prediction" in told
    assert "broken.jpg" in told
    broken.unlink()
    written = {path.relative_to(study / "predictions/index") for path in study.glob("predictions/index/*/*.png")}
    assert len(written) == 30
    labels = np.asarray(Image.open(study / "predictions/index/2020/a_000.png"))
    assert labels.shape == (40, 48)
    truth = np.asarray(Image.open(study / "fields/masks/2020/a_000.png"))
    assert (labels == truth)[truth < 255].mean() > 0.5
    colours = {tuple(colour) for colour in np.asarray(Image.open(study / "predictions/colour/2020/a_000.png"))[:, 0]}
    assert colours <= {(0, 0, 0), (0, 160, 0), (200, 0, 0)}
    assert len(colours) > 1
    assert (study / "predictions/gallery/index.html").read_text().count('"thumbnail":') == 30

    told = call(study, export.replace(export.split()[2], found))
    assert "differ from PyTorch's by at most" in told
    assert (study / "fields.onnx").stat().st_size > 10_000
