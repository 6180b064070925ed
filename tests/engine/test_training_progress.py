"""The display of a training on a terminal."""

from __future__ import annotations

import io

import pytest
import rich.console

from semiseg.engine import training_progress

RUN = "results/pocket/runs/pocket/stratified-0-24/advsemiseg/lambda_adv_labelled=0,lambda_adv_unlabelled=0/seed3"


@pytest.mark.parametrize("width", [72, 80, 100, 200])
def test_the_figures_fit_beside_a_long_name(width, monkeypatch):
    screen = io.StringIO()
    real = rich.console.Console
    monkeypatch.setattr(
        rich.console, "Console", lambda **_: real(file=screen, force_terminal=True, width=width, color_system=None)
    )
    bar, task = training_progress._bar(RUN, 540, 0)
    bar.update(task, completed=135, loss="1.234", miou="45.6")
    bar.stop()
    last = screen.getvalue().replace("\x1b[?25h", "").strip().splitlines()[-1]
    for words in ("advsemiseg", "━", "135/540", ":", "loss 1.234", "mIoU 45.6"):
        assert words in last
