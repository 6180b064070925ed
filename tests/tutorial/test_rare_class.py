"""A class of half a percent of the pixels: the proposal of `data init`, as it is written, finds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from semiseg.cli import main
from semiseg.runs.evaluations import Evaluations
from semiseg.scoring.selection import class_iou
from tests import tiny
from tests.commands.conftest import train_all

pytestmark = pytest.mark.slow
SIDE = 64


def draw(root: Path, count: int = 30) -> None:
    """Soil and crop in halves, and weeds of 5x4 pixels in the crop, a little redder than what surrounds them."""
    random = np.random.default_rng(0)
    for number in range(count):
        label = np.zeros((SIDE, SIDE), np.uint8)
        label[: int(random.integers(20, 44))] = 1
        y, x = random.integers(2, 14), random.integers(2, SIDE - 8)
        label[y : y + 4, x : x + 5] = 2
        mean = np.array([[110, 80, 50], [60, 120, 50], [120, 110, 50]])[label]
        image = np.clip(mean + random.normal(0, 20, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
        for kind, array in (("images", image), ("masks", label)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / kind / f"{number:03}.png")


def test_the_proposal_finds_a_class_of_half_a_percent(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("semiseg.models.start_weights.in_cache", lambda device: None)
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "fields")
    content = tiny.params() | {"suite": "tiny"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    main(["data", "init", "fields", "--write"])
    assert "warning: class 2 below 1 % of the labelled pixels" in capsys.readouterr().out
    local = yaml.safe_load((tmp_path / "params.local.yaml").read_text())
    suite = local["suites"]["fields_try"]
    suite |= {"methods": {"supervised": {}}, "seeds": [0], "splits": {"family": "full", "partitions": ["full"]}}
    local |= {"suite": "fields_try", "dataset": "fields"}
    (tmp_path / "params.local.yaml").write_text(yaml.safe_dump(local))
    [run] = train_all()
    found = Evaluations.load(run / "evaluations.npz")
    matrix = found.total("val", "student", -1)
    share = matrix[2].sum() / matrix.sum()
    assert share < 0.006
    print(f"weed: {100 * share:.2f} % of the pixels, IoU {class_iou(matrix)[2]:.1f}")
    assert class_iou(matrix)[2] > 25, "found, and not by painting everything as weed"
