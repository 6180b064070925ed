from __future__ import annotations

import numpy as np
import pytest
import torch

from semiseg.views import selected_rows
from semiseg.views.selected_rows import apply_rows


@pytest.mark.parametrize("rows", [[], [4], [1, 3, 8], list(range(12))])
@pytest.mark.parametrize("cache", [1, 2 * 3 * 16, 10**6])
def test_these_rows_and_no_others_with_their_own_parameters(monkeypatch, rows, cache):
    """Whatever number of samples is worked on at once."""
    monkeypatch.setattr(selected_rows, "CACHE", cache)
    pixels, shift = torch.rand(12, 3, 4, 4), np.arange(12.0)
    expected = pixels.clone()
    expected[rows] += torch.tensor(shift[rows], dtype=torch.float32)[:, None, None, None]
    apply_rows(pixels, np.array(rows, np.int64), lambda part, value: part + value[:, None, None, None], shift)
    assert torch.equal(pixels, expected)
