from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from semiseg.datasets.first_look import near_duplicates


def photograph(seed: int) -> Image.Image:
    """Smooth patches of light, as photographs have them."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        (lambda image: image.point(lambda v: min(255, v + 12)), True),
        (lambda image: image.filter(ImageFilter.GaussianBlur(1)), True),
        (lambda image: image.resize((80, 60)), True),
        (lambda image: image.rotate(180), False),
        (lambda image: photograph(99), False),
        (lambda image: Image.new("RGB", (160, 120), (40, 40, 40)), False),
    ],
)
def test_copies_are_told_from_other_images(change, alike, tmp_path):
    for number in range(4):
        photograph(number).save(tmp_path / f"{number}.png")
    change(photograph(2)).save(tmp_path / "changed.jpg", quality=90)
    ours = [near_duplicates.thumbnail(tmp_path / f"{number}.png") for number in range(4)]
    assert near_duplicates.pairs([near_duplicates.thumbnail(tmp_path / "changed.jpg")], ours) == [(0, 2)] * alike


def test_two_images_of_one_colour_are_not_called_alike(tmp_path):
    for name, grey in (("a", 40), ("b", 90)):
        Image.new("RGB", (32, 32), (grey, grey, grey)).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"nothing")
    found = [near_duplicates.thumbnail(tmp_path / f"{name}.png") for name in "abc"]
    assert found == [None, None, None] and near_duplicates.pairs(found, found) == []
