from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.feed.draws import Draws
from semiseg.views import cutmix

LAWS = {
    "unimatch": cutmix.unimatch_boxes,
    "fixed_area": cutmix.fixed_area_boxes,
    "imas": cutmix.imas_boxes,
    "augseg": cutmix.augseg_boxes,
    "cps": cutmix.cps_boxes,
    "half": cutmix.half_boxes,
}
MANY = Draws(0, 0, range(4000))


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("law", LAWS)
@given(
    seed=st.integers(0, 10**6), iteration=st.integers(0, 10**6), height=st.integers(8, 70), width=st.integers(8, 70),
    data=st.data(),
)  # fmt: skip
def test_boxes_lie_inside_and_belong_to_their_sample(law, seed, iteration, height, width, data):
    draws = Draws(seed, iteration, [5, 3, 9])
    boxes = LAWS[law](draws, "box", (height, width))
    assert boxes.dtype == torch.int64 and boxes.shape[-1] == 4
    top, left, bottom, right = boxes.unbind(-1)
    assert (top >= 0).all() and (top <= bottom).all() and (bottom <= height).all()
    assert (left >= 0).all() and (left <= right).all() and (right <= width).all()
    row = data.draw(st.integers(0, 2))
    assert torch.equal(LAWS[law](draws.subset([row]), "box", (height, width))[0], boxes[row])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 40), width=st.integers(1, 40), data=st.data())
def test_nothing_of_the_donor_leaks_out_of_the_box_and_nothing_of_the_base_into_it(seed, height, width, data):
    edges = data.draw(
        st.lists(
            st.tuples(*(st.tuples(st.integers(0, size), st.integers(0, size)) for size in (height, width))),
            min_size=2, max_size=2,
        )
    )  # fmt: skip
    boxes = torch.tensor([[min(y), min(x), max(y), max(x)] for y, x in edges])
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand((2, 3, height, width), generator=generator)
    donor = base + 1 + torch.rand((2, 3, height, width), generator=generator)
    mixed = cutmix.paste(base, donor, cutmix.mask(boxes, (height, width)))
    for i, (top, left, bottom, right) in enumerate(boxes.tolist()):
        expected = base[i].clone()
        expected[:, top:bottom, left:right] = donor[i, :, top:bottom, left:right]
        assert torch.equal(mixed[i], expected)


def test_labels_are_pasted_like_images():
    inside = cutmix.mask(torch.tensor([[1, 2, 3, 5]]), (4, 6))
    found = cutmix.paste(torch.zeros(1, 4, 6, dtype=torch.int64), torch.full((1, 4, 6), 255), inside)
    assert (found == 255).sum() == 6


def test_overlapping_boxes_undo_each_other():
    boxes = torch.tensor([[[0, 0, 2, 2], [1, 1, 3, 3], [3, 3, 3, 3]]])
    assert cutmix.mask(boxes, (4, 4))[0].int().tolist() == [[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def official_unimatch(generator: np.random.Generator, size: int) -> tuple[int, int] | None:
    """A reference implementation: draw the area, then ratio and corner together until the box fits."""
    if generator.random() > 0.5:
        return None
    area = generator.uniform(0.02, 0.4) * size * size
    while True:
        ratio = generator.uniform(0.3, 1 / 0.3)
        width, height = int(np.sqrt(area / ratio)), int(np.sqrt(area * ratio))
        x, y = generator.integers(0, size, 2)
        if x + width <= size and y + height <= size:
            return height, width


def test_unimatch_boxes_have_the_shape_that_running_the_official_code_gives():
    """With 20,000 boxes of the official code: mean height / width 1.62, mean area 0.207 of the image."""
    boxes = cutmix.unimatch_boxes(MANY, "box", (321, 321)).numpy()
    sides = (boxes[:, 2:] - boxes[:, :2]).astype(float)
    drawn = sides[:, 0] > 0
    assert abs(drawn.mean() - 0.5) < 0.03
    assert abs((sides[drawn, 0] / sides[drawn, 1]).mean() - 1.62) < 0.06
    assert abs((sides[drawn].prod(1) / 321**2).mean() - 0.207) < 0.006
    generator = np.random.default_rng(0)
    official = np.array([box for box in (official_unimatch(generator, 321) for _ in range(4000)) if box], float)
    for axis in (0, 1):
        found, expected = (np.quantile(lengths[:, axis], (0.1, 0.5, 0.9)) for lengths in (sides[drawn], official))
        np.testing.assert_allclose(found, expected, rtol=0.06)


def test_probability_of_unimatch_boxes():
    assert (cutmix.unimatch_boxes(MANY, "box", (64, 64), p=0.0) == 0).all()
    boxes = cutmix.unimatch_boxes(MANY, "box", (64, 64), p=1.0)
    assert (boxes[:, 2] > boxes[:, 0]).all()


def test_fixed_area_boxes_have_that_area_and_reach_every_border():
    boxes = cutmix.fixed_area_boxes(MANY, "box", (200, 300)).numpy()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) / 60000
    assert np.abs(areas - 0.5).max() < 0.01
    heights = (boxes[:, 2] - boxes[:, 0]) / 200
    assert abs(np.log(heights).mean() - np.log(0.5) / 2) < 0.01  # log-uniform between 0.5 and 1
    assert boxes[:, 0].min() == 0 and boxes[:, 2].max() == 200


def test_imas_boxes_share_a_side_ratio_and_differ_in_place():
    boxes = cutmix.imas_boxes(MANY, "box", (320, 160)).numpy()
    sides = boxes[:, 2:] - boxes[:, :2]
    whole = (boxes[:, :2] > 0).all(1) & (boxes[:, 2:] < (320, 160)).all(1)
    assert len(np.unique(sides[whole], axis=0)) == 1
    assert len(np.unique(boxes[:, :2], axis=0)) > 100
    ratios = [cutmix.imas_boxes(Draws(0, i, [0, 1, 2]), "box", (320, 160)).numpy() for i in range(300)]
    largest = [(box[:, 2:] - box[:, :2]).max(0)[0] / 320 for box in ratios]
    assert min(largest) < 0.15 and max(largest) > 0.7


def test_augseg_shares_follow_beta():
    shares = []
    for i in range(800):
        boxes = cutmix.augseg_boxes(Draws(0, i, range(40)), "box", (512, 512)).numpy()
        shares.append((boxes[:, 2:] - boxes[:, :2]).max() ** 2 / 512**2)
    assert abs(np.mean(shares) - 0.5) < 0.02  # mean of 1 - Beta(4, 4)
    assert abs(np.std(shares) - 1 / 6) < 0.02


def test_cps_has_three_boxes_of_a_quarter_to_half_in_all():
    boxes = cutmix.cps_boxes(MANY, "box", (240, 240)).numpy()
    assert boxes.shape == (4000, 3, 4)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(-1) / 240**2 * 3
    assert areas.min() > 0.24 and areas.max() < 0.51
    assert abs(areas.mean() - 0.375) < 0.005


def test_half_boxes_are_wide_and_everywhere():
    """U2PL: widths are uniform from more than half of the image; the height makes half of the area."""
    boxes = cutmix.half_boxes(MANY, "box", (100, 80)).numpy()
    high, wide = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert set(wide) == set(range(41, 80))
    assert (high == np.round(4000 / wide)).all()
    for lows, room in ((boxes[:, 0], 100 - high), (boxes[:, 1], 80 - wide)):
        assert (lows == 0).any() and (lows == room).any()
        assert (lows / room.clip(min=1))[room > 10].mean() == pytest.approx(0.5, abs=0.03)
