from __future__ import annotations

import numpy as np

from semiseg.runs import units


def test_images_of_a_group_are_drawn_together():
    unit_of = units.of_images(6, ["a", "b", "a", None, None, "b"])
    assert unit_of[0] == unit_of[2] and unit_of[1] == unit_of[5] and len(set(unit_of)) == 4
    assert list(units.of_images(3, None)) == [0, 1, 2]


def test_a_group_is_cut_into_blocks_of_neighbours():
    groups = ["b", "a", "a", "a", "a", "a", "b", "b", "b", None, "a"]
    unit_of = units.of_images(11, groups, 2)
    blocks = {tuple(np.flatnonzero(unit_of == unit)) for unit in set(unit_of)}
    assert blocks == {(1, 2), (3, 4), (5, 10), (0, 6), (7, 8), (9,)}
    assert len(set(units.of_images(11, groups, 100))) == len(set(units.of_images(11, groups))) == 3
    assert len(set(units.of_images(31, ["a"] * 31, 15))) == 2, "a short rest is no block of its own"


def test_merged_units_are_whole_units_and_of_nearly_equal_number():
    unit_of = units.of_images(500, [f"drive {i // 2}" for i in range(500)])
    merged = units.merged(unit_of, 100)
    assert [len(set(unit_of[merged == part])) for part in range(100)] == [3] * 50 + [2] * 50
    assert all(len(set(merged[unit_of == unit])) == 1 for unit in range(250))
    assert units.merged(unit_of, 250) is unit_of
    assert (units.merged(unit_of, 100) == merged).all(), "the same for every run"
