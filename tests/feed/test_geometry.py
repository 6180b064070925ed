from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.feed.draws import Draws
from semiseg.feed.geometry import PADDING, Region, draw_regions, read_image, read_label, valid_bounds


def natural(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3), dtype=np.uint8)
    return np.ascontiguousarray(cv2.resize(noise, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)[:height, :width])


def read(image: np.ndarray, region: Region, crop: tuple[int, int]) -> np.ndarray:
    out = np.empty((*crop, 3), np.uint8)
    read_image(image, region, out)
    return out


def sampled(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear samples of the whole image at real coordinates (pixel centres at whole numbers), in float64."""
    top = np.clip(np.floor(rows).astype(int), 0, image.shape[0] - 2)
    left = np.clip(np.floor(columns).astype(int), 0, image.shape[1] - 2)
    y = np.clip(rows - top, 0, 1)[:, None, None]
    x = np.clip(columns - left, 0, 1)[None, :, None]
    a, b = image[top][:, left].astype(float), image[top][:, left + 1]
    c, d = image[top + 1][:, left], image[top + 1][:, left + 1]
    return (a * (1 - x) + b * x) * (1 - y) + (c * (1 - x) + d * x) * y


@settings(max_examples=40, deadline=None)
@given(sample=st.integers(0, 10**6), low=st.floats(0.3, 1.9), width=st.integers(70, 160), height=st.integers(60, 120))
def test_a_crop_holds_the_bilinear_samples_of_the_whole_image(sample, low, width, height):
    image, crop = natural(height, width), (33, 41)
    region = draw_regions(Draws(0, 0, [sample]), "g", [(height, width)], crop, (low, low + 0.1), False)[0]
    got = read(image, region, crop)[: region.rows, : region.columns].astype(float)
    rows = region.top + (np.arange(region.rows) + 0.5) * region.height / region.rows - 0.5
    columns = region.left + (np.arange(region.columns) + 0.5) * region.width / region.columns - 0.5
    difference = np.abs(got - sampled(image, rows, columns))
    margin = int(np.ceil(max(region.rows / region.height, region.columns / region.width) / 2))
    assert difference[margin:-margin, margin:-margin].max() <= 1.0  # OpenCV weighs with 11 bits and rounds


@pytest.mark.parametrize("scale", [0.5, 1, 2])
def test_at_whole_scales_it_is_the_crop_of_the_resized_image(scale):
    image, crop = natural(100, 140), (40, 48)
    resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    regions = draw_regions(Draws(0, 0, range(50)), "g", [(100, 140)] * 50, crop, (scale, scale), False)
    region = next(r for r in regions if r.top * scale % 1 == 0 and r.left * scale % 1 == 0)
    top, left = int(region.top * scale), int(region.left * scale)
    expected = resized[top : top + 40, left : left + 48].astype(int)
    assert np.abs(read(image, region, crop) - expected)[1:-1, 1:-1].max() <= (1 if scale == 2 else 0)


def test_between_whole_scales_it_is_close_to_the_crop_of_the_resized_image():
    """At a scale of 1.37 the nearest whole offset lies up to half a pixel off: about a grey level on smooth content."""
    image, crop, scale = cv2.GaussianBlur(natural(100, 140), (0, 0), 4), (60, 60), 1.37
    resized = cv2.resize(image, (round(140 * scale), round(100 * scale)))
    region = draw_regions(Draws(0, 0, [3]), "g", [(100, 140)], crop, (scale, scale), False)[0]
    top, left = round(region.top * scale), round(region.left * scale)
    difference = np.abs(read(image, region, crop) - resized[top : top + 60, left : left + 60].astype(float))
    assert difference[2:-2, 2:-2].mean() < 2
    shifted = np.roll(resized, 8, axis=1)[top : top + 60, left : left + 60]
    assert np.abs(read(image, region, crop) - shifted.astype(float)).mean() > 3 * difference.mean()


def test_labels_take_the_nearest_pixel_centre():
    label = np.arange(10 * 12, dtype=np.uint8).reshape(10, 12)
    region = Region(top=1, left=2, height=7, width=6, rows=9, columns=5, flip=False)
    out = np.empty((9, 5), np.uint8)
    read_label(label, region, out)
    rows = 1 + np.floor((np.arange(9) + 0.5) * 7 / 9).astype(int)
    columns = 2 + np.floor((np.arange(5) + 0.5) * 6 / 5).astype(int)
    np.testing.assert_array_equal(out, label[rows][:, columns])


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90), width=st.integers(1, 90), sample=st.integers(0, 10**6), scale=st.floats(0.2, 3.0),
    crop=st.tuples(st.integers(1, 40), st.integers(1, 40)), flip=st.booleans(),
)  # fmt: skip
def test_padding_is_marked_everywhere_and_nowhere_else(height, width, sample, scale, crop, flip):
    region = draw_regions(Draws(1, 2, [sample]), "g", [(height, width)], crop, (scale, scale), flip)[0]
    assert 0 <= region.top <= height - region.height
    assert 0 <= region.left <= width - region.width
    image, label = np.full((height, width, 3), 7, np.uint8), np.full((height, width), 3, np.uint8)
    pixels, out = read(image, region, crop), np.empty(crop, np.uint8)
    read_label(label, region, out)
    rows, first, last = valid_bounds([region], crop[1])[0]
    valid = np.zeros(crop, bool)
    valid[:rows, first:last] = True
    np.testing.assert_array_equal(out == 3, valid)
    np.testing.assert_array_equal(out == 255, ~valid)
    assert (pixels[valid] == 7).all()
    assert (pixels[~valid] == PADDING).all()


def test_flip_mirrors_crop_and_padding():
    image = natural(20, 30)
    region = Region(top=0, left=0, height=20, width=30, rows=20, columns=30, flip=False)
    mirrored = Region(**{**region.__dict__, "flip": True})
    for crop in ((20, 30), (25, 40)):
        np.testing.assert_array_equal(read(image, mirrored, crop), read(image, region, crop)[:, ::-1])


def test_offsets_reach_both_ends():
    regions = draw_regions(Draws(0, 0, range(4000)), "g", [(30, 30)] * 4000, (20, 20), (1, 1), True)
    assert {r.top for r in regions} == {r.left for r in regions} == set(range(11))
    assert 1800 < sum(r.flip for r in regions) < 2200
