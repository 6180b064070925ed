from __future__ import annotations

import numpy as np
import pytest

from semiseg.bench import evaluation_speed, loader_speed, synthetic


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_loader_has_all_rows_and_the_store_is_faster(suffix):
    case = loader_speed.Case("small", suffix, 200, 260, 97, 2)
    rows = loader_speed.run(seconds=0.3, cases=(case,))["rows"]
    names = [f"{what}: {who}" for what in ("image", "image and mask", "recipe") for who in ("semiseg", "PIL")]
    assert [line["what"] for line in rows] == names
    assert all(line["n"] >= 5 and line["median_ms"] > 0 for line in rows)
    assert rows[0]["times_as_fast"] > 2


def test_the_field_delivers_what_the_loader_delivers(tmp_path):
    case = loader_speed.Case("small", ".png", 60, 80, 48, 2)
    sample = synthetic.Photographs(tmp_path, ".png", 60, 80, 2).subsets["train"][0]
    image, mask = loader_speed._pil_crop(sample, case, masks=True)
    assert image.size == mask.size == (48, 48) and image.mode == "RGB" and mask.mode == "L"
    assert [view.shape for view in loader_speed._pil_views(sample, case)] == [(3, 48, 48)] * 3


def test_evaluation_is_faster_and_finds_the_same_miou():
    case = evaluation_speed.Case("small", 200, 300, 12, 4)
    rows = evaluation_speed.run(seconds=0.3, cases=(case,))["rows"]
    assert rows[0]["miou_difference"] < 1e-6
    assert rows[0]["times_as_fast"] > 1.5


def test_the_histogram_counts_right():
    label = np.array([[[0, 0, 1, 255]]], np.uint8)
    prediction = np.array([[[0, 1, 1, 0]]], np.uint8)
    assert evaluation_speed.histogram_miou(prediction, label, 3) == pytest.approx(100 * (1 / 2 + 1 / 2) / 2)


def test_made_photographs_are_as_hard_to_compress_as_natural_ones(tmp_path):
    """VOC's JPEGs take about 0.5 bytes per pixel, Cityscapes' PNGs 1.1."""
    for suffix, low, high in ((".jpg", 0.4, 0.6), (".png", 0.9, 1.4)):
        sample = synthetic.Photographs(tmp_path, suffix, 300, 400, 1).subsets["train"][0]
        assert low < sample.image.stat().st_size / 120000 < high
    assert set(np.unique(synthetic.label_map(100, 160, 21, 0))) == {*range(21), 255}
