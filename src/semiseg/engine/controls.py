"""Controls: they replace the predictions behind every pseudo-label, to test that a method learns from them.

`oracle` uses the hidden labels instead, so the method should come close to full labels. `shuffled` uses the prediction
for another image, so the method should gain nothing. Ordinary training uses neither and never reads a hidden label.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.hardware import distributed

CERTAIN = 20.0  # logit of a class that is known: softmax 1 - 1e-8 with 21 classes


def make(control: str, hidden: Tensor | None, rows: slice) -> Callable[[Tensor], Tensor]:
    """rows: this process's part of the images that all processes see."""
    match control:
        case "oracle":
            assert hidden is not None
            return lambda logits: _certain(hidden, logits)
        case "shuffled":
            return lambda logits: distributed.gather(logits).roll(1, dims=0)[rows]
        case _:
            return lambda logits: logits


def _certain(labels: Tensor, logits: Tensor) -> Tensor:
    """Logits that are certain of the label; at ignored pixels all classes are equally likely."""
    known = (labels != 255).unsqueeze(1)
    one_hot = F.one_hot(labels.clamp(max=logits.shape[1] - 1), logits.shape[1]).permute(0, 3, 1, 2)
    return torch.where(known, CERTAIN * one_hot, 0).to(logits.dtype)
