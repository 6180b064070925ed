from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torchvision.transforms import functional as pil_functional
from torchvision.transforms.v2.functional import normalize

from semiseg import views
from semiseg.feed.draws import Draws
from semiseg.views import colour
from semiseg.views.filters import box_taps
from semiseg.views.photometric import JITTER

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
PIXELS = views.to_pixels(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
VIEWS = {
    "photometric": views.photometric,
    "rand_augment": views.rand_augment,
    "augseg": lambda pixels, draws, stream: views.rand_augment(pixels, draws, stream, (1, 3), views.AUGSEG),
}


def test_pixels_hold_the_bytes_plane_by_plane():
    assert PIXELS.dtype == torch.float32 and PIXELS.is_contiguous()
    np.testing.assert_array_equal(PIXELS.permute(0, 2, 3, 1).numpy(), IMAGES)


def test_normalise_is_torchvisions():
    expected = normalize(PIXELS / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(views.normalise(PIXELS), expected)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_keyed_by_its_sample(name):
    """Processes that hold other rows, or a resumed run, make the same views."""
    view, draws = VIEWS[name], Draws(1, 5, range(40, 52))
    whole = view(PIXELS, draws, "strong")
    rows = [7, 2, 9]
    assert torch.equal(view(PIXELS[rows], draws.subset(rows), "strong"), whole[rows])
    assert not torch.equal(view(PIXELS, draws, "other"), whole)
    assert not torch.equal(view(PIXELS, Draws(1, 6, range(40, 52)), "strong"), whole)
    assert torch.equal(PIXELS.permute(0, 2, 3, 1), torch.from_numpy(IMAGES).float())
    assert torch.equal(whole, whole.round()) and whole.min() >= 0 and whole.max() <= 255


def test_photometric_is_torchvisions_chain_on_pil():
    """Jitter in the drawn order, grey, blur: on the same draws the same picture, as far as hue and blur agree."""
    draws = Draws(3, 11, range(12))
    found = views.photometric(PIXELS, draws, "strong").permute(0, 2, 3, 1).numpy()
    u, order = draws.uniform("strong", 8), draws.permutation("strong/order", 4)
    steps = (
        pil_functional.adjust_brightness,
        pil_functional.adjust_contrast,
        pil_functional.adjust_saturation,
        pil_functional.adjust_hue,
    )
    for i, image in enumerate(IMAGES):
        expected = Image.fromarray(image)
        parameters = [*(0.5 + u[i, 3:6]), 0.25 * (2 * u[i, 6] - 1)]
        for step in order if u[i, 0] < 0.8 else ():
            expected = steps[step](expected, parameters[step])
        if u[i, 1] < 0.2:
            expected = pil_functional.to_grayscale(expected, 3)
        if u[i, 2] < 0.5:
            expected = expected.filter(ImageFilter.GaussianBlur(float(0.1 + 1.9 * u[i, 7])))
        difference = np.abs(found[i] - np.asarray(expected).astype(float))
        assert difference.max() <= 8 and difference.mean() < 1


def test_probabilities_and_strengths_of_photometric():
    draws = Draws(0, 0, range(12))
    unchanged = views.photometric(PIXELS, draws, "s", p_jitter=0, p_grey=0, p_blur=0)
    assert torch.equal(unchanged, PIXELS)
    grey = views.photometric(PIXELS, draws, "s", p_jitter=0, p_grey=1, p_blur=0)
    assert torch.equal(grey, colour.to_grey(PIXELS))
    still = views.photometric(PIXELS, draws, "s", jitter=(0, 0, 0, 0), p_jitter=1, p_grey=0, p_blur=0)
    assert (still - PIXELS).abs().max() <= 6  # through HSV and back: its bytes are coarse
    full, half = (views.photometric(PIXELS, draws, "s", strength=strength) for strength in (1.0, 0.5))
    assert torch.equal(half, ((PIXELS + full) / 2).round())
    assert torch.equal(views.rand_augment(PIXELS, draws, "s", strength=0.0), PIXELS)
    pixels = torch.full((2000, 3, 1, 1), 100.0)
    many = views.photometric(pixels, Draws(0, 0, range(2000)), "s", jitter=(0.5, 0, 0, 0), p_grey=0, p_blur=0)
    assert 50 <= many.min() < 55 and 145 < many.max() <= 150
    assert abs((many != 100).any(1).float().mean() - 0.8 * 0.99) < 0.03


def test_the_order_of_the_jitter_changes_from_step_to_step():
    orders = {tuple(Draws(0, i).permutation("strong/order", 4)) for i in range(300)}
    assert len(orders) == 24
    assert len(JITTER) == 4


def test_rand_augment_uses_every_operation_equally():
    names = list(views.IMAS)
    used = dict.fromkeys(names, 0)

    def note(name):
        def apply(pixels, *parameters):
            used[name] += len(pixels)
            return pixels

        return apply

    watched = {name: type(operation)(note(name), operation.parameter) for name, operation in views.IMAS.items()}
    views.rand_augment(torch.zeros(3000, 3, 1, 1), Draws(0, 0, range(3000)), "s", 2, watched)
    assert len(names) == 12 and sum(used.values()) == 6000
    assert min(used.values()) > 400 and max(used.values()) < 600


def test_a_drawn_count_is_uniform_between_its_ends():
    calls = []
    watched = {"note": type(views.IMAS["invert"])(lambda pixels: calls.append(len(pixels)) or pixels)}
    views.rand_augment(torch.zeros(3000, 3, 1, 1), Draws(0, 0, range(3000)), "s", (1, 3), watched)
    assert calls[0] == 3000
    assert abs(calls[1] - 2000) < 100 and abs(calls[2] - 1000) < 100


def test_parameters_of_the_operations():
    u = np.linspace(0, 1 - 1e-9, 101)
    sign = np.tile((0.2, 0.7), 51)[:101]
    laws = {name: operation.parameter(u, sign) for name, operation in views.IMAS.items() if operation.parameter}
    assert laws["contrast"].min() == pytest.approx(0.1) and laws["contrast"].max() == pytest.approx(0.95)
    assert set(laws["posterise"]) == {4, 5, 6, 7}
    assert laws["solarise"].min() == 1 and laws["solarise"].max() == 255
    assert laws["hue"].min() < -0.49 and laws["hue"].max() > 0.49
    np.testing.assert_array_equal(laws["blur"], box_taps(0.1 + 1.9 * u))
    augseg = views.AUGSEG["contrast"].parameter(u, sign)
    assert augseg.min() == pytest.approx(0.05) and "invert" not in views.AUGSEG and len(views.AUGSEG) == 11
