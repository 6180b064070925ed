"""Controls replace the predictions behind pseudo-labels, over the images of all processes."""

from __future__ import annotations

import torch

from semiseg.engine import controls
from semiseg.hardware import distributed


def test_each_image_gets_the_prediction_of_another_on_any_number_of_processes(monkeypatch):
    everybodys = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    alone = controls.make("shuffled", None, slice(0, 4))(everybodys)
    assert alone[:, 0, 0, 0].tolist() == [3, 0, 1, 2]
    monkeypatch.setattr(distributed, "gather", lambda rows: everybodys)
    parts = [controls.make("shuffled", None, rows)(everybodys[rows]) for rows in (slice(0, 1), slice(1, 4))]
    assert torch.equal(torch.cat(parts), alone)


def test_the_oracle_is_sure_of_what_is_known():
    hidden = torch.tensor([[[0, 2], [255, 1]]])
    shown = controls.make("oracle", hidden, slice(0, 1))(torch.zeros(1, 3, 2, 2)).softmax(1)
    assert shown.max(1).indices[hidden != 255].tolist() == [0, 2, 1]
    assert torch.allclose(shown[0, :, 1, 0], torch.tensor(1 / 3)), "void: every class is equally likely"
