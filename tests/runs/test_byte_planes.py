from __future__ import annotations

import numpy as np

from semiseg.runs import byte_planes


def test_they_come_back():
    arrays = {
        "counts": np.array([1, 256, 65535, 0], dtype=np.uint16),
        "many": np.array([[2**40, 3], [4, 2**63]], dtype=np.uint64),
        "small": np.array([1, 2], dtype=np.uint8),
        "none": np.zeros(0, dtype=np.uint32),
        "signed": np.array([-1000]),
    }
    apart = byte_planes.apart(arrays)
    assert apart["counts/bytes"].tolist() == [[1, 0, 255, 0], [0, 1, 255, 0]]
    assert {key for key in arrays if key in apart} == {"small", "signed"}
    back = byte_planes.together(apart)
    assert list(back) == list(arrays)
    for key, values in arrays.items():
        assert back[key].dtype == values.dtype
        np.testing.assert_array_equal(back[key], values)
