from __future__ import annotations

import numpy as np
import pytest

from semiseg.scoring import corruptions

random = np.random.default_rng(0)
IMAGE = np.kron(random.integers(40, 220, (8, 10, 3)), np.ones((8, 8, 1))).astype(np.uint8)


@pytest.mark.parametrize("kind", corruptions.KINDS)
def test_each_strength_is_farther_from_the_image(kind):
    worse = [corruptions.corrupted("a", IMAGE, kind, strength) for strength in corruptions.STRENGTHS]
    assert all(one.dtype == np.uint8 and one.shape == IMAGE.shape for one in worse)
    distances = [np.abs(one.astype(float) - IMAGE).mean() for one in worse]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_noise_is_the_same_for_every_run_and_another_for_every_image():
    first = corruptions.corrupted("a", IMAGE, "noise", 2)
    assert np.array_equal(first, corruptions.corrupted("a", IMAGE, "noise", 2))
    assert not np.array_equal(first, corruptions.corrupted("b", IMAGE, "noise", 2))
    grey = np.full((64, 64, 3), 128, np.uint8)
    assert corruptions.corrupted("a", grey, "noise", 2).std() == pytest.approx(25, rel=0.05)


def test_darkness_and_contrast_do_what_they_say():
    assert corruptions.corrupted("a", IMAGE, "darkness", 3).mean() == pytest.approx(0.2 * IMAGE.mean(), rel=0.02)
    flat = corruptions.corrupted("a", IMAGE, "contrast", 2)
    assert flat.mean() == pytest.approx(IMAGE.mean(), rel=0.01) and flat.std() < 0.6 * IMAGE.std()
