"""Each operation against PIL (or torchvision's PIL path): largest difference of a byte, and of how many bytes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torchvision.transforms import functional as pil_functional

from semiseg.views import colour, filters, to_pixels

COUNT, HEIGHT, WIDTH = 10, 60, 52


def make_images() -> np.ndarray:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
    smooth = [cv2.resize(image[:8, :8], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for image in noise]
    images = np.concatenate((noise[: COUNT // 2], np.stack(smooth)[COUNT // 2 :]))
    images[0] = 77  # one value: nothing to stretch
    images[1, ..., 1] = 200  # one flat channel
    images[2] = generator.integers(0, 2, (HEIGHT, WIDTH, 1)) * 255
    images[3] = images[3] // 8 + 90  # little contrast
    return images


IMAGES = make_images()
PIXELS = to_pixels(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
FACTORS = np.linspace(0.05, 1.8, COUNT)

#  name: (ours, PIL's, one parameter per image, largest difference, largest share of bytes that differ)
CASES = {
    "brightness": (colour.brightness, lambda i, p: ImageEnhance.Brightness(i).enhance(p), FACTORS, 0, 0),
    "contrast": (colour.contrast, lambda i, p: ImageEnhance.Contrast(i).enhance(p), FACTORS, 0, 0),
    "saturation": (colour.saturation, lambda i, p: ImageEnhance.Color(i).enhance(p), FACTORS, 0, 0),
    "sharpness": (filters.sharpness, lambda i, p: ImageEnhance.Sharpness(i).enhance(p), FACTORS, 0, 0),
    "posterise": (colour.posterise, lambda i, p: ImageOps.posterize(i, int(p)), np.arange(COUNT) % 8 + 1, 0, 0),
    "solarise": (colour.solarise, lambda i, p: ImageOps.solarize(i, int(p)), np.linspace(0, 256, COUNT).round(), 0, 0),
    # One step of the hue byte is up to six levels; it happens where PIL's own rounding decides (see _hue_byte).
    "hue": (colour.hue, pil_functional.adjust_hue, np.linspace(-0.5, 0.5, COUNT), 6, 1e-3),
    "grey": (colour.to_grey, lambda i: pil_functional.to_grayscale(i, 3), None, 0, 0),
    "invert": (colour.invert, ImageOps.invert, None, 0, 0),
    "autocontrast": (colour.autocontrast, ImageOps.autocontrast, None, 1, 1e-3),
    "equalise": (colour.equalise, ImageOps.equalize, None, 0, 0),
}  # fmt: skip


def differences(ours: torch.Tensor, theirs: list[Image.Image]) -> np.ndarray:
    assert torch.equal(ours, ours.round()) and ours.min() >= 0 and ours.max() <= 255
    return np.abs(ours.permute(0, 2, 3, 1).numpy() - np.stack([np.asarray(image) for image in theirs]).astype(float))


@pytest.mark.parametrize("name", CASES)
def test_is_what_pil_does(name):
    ours, theirs, parameters, largest, share = CASES[name]
    images = [Image.fromarray(image) for image in IMAGES]
    if parameters is None:
        found, expected = ours(PIXELS), [theirs(image) for image in images]
    else:
        found = ours(PIXELS, torch.tensor(parameters, dtype=torch.float32))
        expected = [theirs(image, float(p)) for image, p in zip(images, parameters, strict=True)]
    difference = differences(found, expected)
    assert difference.max() <= largest
    assert (difference > 0).mean() <= share


def test_blur_is_within_two_levels_of_pil():
    sigma = np.linspace(0.1, 2.0, COUNT)
    found = filters.gaussian_blur(PIXELS, torch.from_numpy(filters.box_taps(sigma)))
    blurred = zip(IMAGES, sigma, strict=True)
    expected = [Image.fromarray(image).filter(ImageFilter.GaussianBlur(float(s))) for image, s in blurred]
    difference = differences(found, expected)
    assert difference.max() <= 2
    assert (difference > 1).mean() < 0.05


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (170, 64), (153, 217), (331, 152)])
def test_blur_in_tiles_is_blur_in_one_piece(size, monkeypatch):
    pixels = torch.randint(0, 256, (2, 3, *size), generator=torch.Generator().manual_seed(0)).float()
    taps = torch.from_numpy(filters.box_taps(np.array([0.7, 2.0])))
    tiled = filters.gaussian_blur(pixels, taps)
    monkeypatch.setattr(filters, "TILE", 1000)
    whole = filters.gaussian_blur(pixels, taps)
    assert (tiled - whole).abs().max() <= 1  # the order of additions may turn a tie
    assert (tiled != whole).float().mean() < 1e-3


@pytest.mark.parametrize("sigma", [0.05, 0.6, 1.0, 2.0, 5.0])
def test_taps_have_weight_one_and_the_variance_of_the_gaussian(sigma):
    taps = filters.box_taps(np.array([sigma]))[0].astype(float)
    distance = np.arange(len(taps)) - len(taps) // 2
    assert taps.sum() == pytest.approx(1, abs=1e-6)
    assert filters.PASSES * (taps * distance**2).sum() == pytest.approx(sigma**2, rel=1e-4)


def test_hue_bytes_of_all_colours():
    """0.04 % of a million colours get another hue byte than PIL gives, and then its neighbour."""
    levels = np.arange(256, dtype=np.uint8)
    wrong = total = 0
    for red in range(7, 256, 17):
        green, blue = np.meshgrid(levels, levels, indexing="ij")
        image = np.stack((np.full_like(green, red), green, blue), axis=-1)
        pixels = to_pixels(torch.from_numpy(image).permute(2, 0, 1)[None])
        below = (pixels.amax(1, keepdim=True) - pixels).transpose(0, 1).contiguous()
        found = colour._hue_byte(below, below.amax(0)).numpy()[0]
        expected, saturation = np.asarray(Image.fromarray(image).convert("HSV")).astype(int)[..., :2].transpose(2, 0, 1)
        off = np.abs(found - expected)[saturation > 0]
        assert np.isin(off, (0, 1, 255)).all()
        wrong, total = wrong + (off > 0).sum(), total + off.size
    assert wrong / total < 5e-4


@pytest.mark.parametrize("name", CASES)
def test_a_sample_does_not_see_its_neighbours(name):
    ours, _, parameters, _, _ = CASES[name]
    vectors = [] if parameters is None else [torch.tensor(parameters, dtype=torch.float32)]
    whole = ours(PIXELS, *vectors)
    assert torch.equal(ours(PIXELS[3:5], *(vector[3:5] for vector in vectors)), whole[3:5])


@pytest.mark.parametrize("name", CASES)
def test_the_input_is_left_alone(name):
    ours, _, parameters, _, _ = CASES[name]
    pixels = PIXELS.clone()
    ours(pixels, *([] if parameters is None else [torch.tensor(parameters, dtype=torch.float32)]))
    assert torch.equal(pixels, PIXELS)
