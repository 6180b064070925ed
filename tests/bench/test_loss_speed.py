from __future__ import annotations

import pytest
import torch

from semiseg import methods
from semiseg.bench import loss_speed


@pytest.fixture(scope="module")
def rows():
    return loss_speed.run(seconds=0, sizes=(32, 48))["rows"]


@pytest.mark.slow
def test_every_method_and_size_has_a_row(rows):
    for size in ("32x32", "48x48"):
        found = [line["what"] for line in rows if line["case"] == size]
        assert found[: len(methods.names())] == methods.names()
    assert all(line["median_ms"] > 0 and line["peak_memory_mib"] > 0 for line in rows)


@pytest.mark.slow
def test_memory_of_formed_pairs_grows_with_the_square_of_the_pixels(rows):
    memory = {(line["case"], line["what"]): line["peak_memory_mib"] for line in rows}
    formed, closed = "SCL pairs: all, formed", "SCL pairs: all, in closed form"
    assert memory["48x48", formed] > 4.5 * memory["32x32", formed]  # (48 / 32)**4 is 5.1
    assert memory["48x48", closed] < 2.6 * memory["32x32", closed]
    assert memory["48x48", "RC2L contrast: every pixel"] > memory["48x48", "RC2L contrast: regions"]


def test_the_closed_form_is_the_same_number():
    torch.manual_seed(0)
    pairs = loss_speed._pairs(16, "cpu")
    formed, closed = pairs["SCL pairs: all, formed"](), pairs["SCL pairs: all, in closed form"]()
    assert closed.detach() == pytest.approx(float(formed.detach()), rel=1e-4)


def test_what_would_not_fit_is_named_and_left_out(monkeypatch):
    monkeypatch.setattr(loss_speed, "MOST_MIB", 1)
    line = loss_speed._row(
        "64x64", "SCL pairs: all, formed", loss_speed._pairs(64, "cpu")["SCL pairs: all, formed"], 0, "cpu"
    )
    assert line["what"].endswith("more than 1 MiB") and "median_ms" not in line
