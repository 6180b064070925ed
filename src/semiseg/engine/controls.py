"""Controls: what the predictions behind every pseudo-label are replaced by, to test that a method learns from them.

`oracle` puts the hidden labels in their place (the method should then come close to full labels); `shuffled` puts
another image's prediction there (the method should then gain nothing). Ordinary training uses neither and never reads
a hidden label.
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
    """Logits that are sure of the label; where a label is void every class is equally likely."""
    known = (labels != 255).unsqueeze(1)
    one_hot = F.one_hot(labels.clamp(max=logits.shape[1] - 1), logits.shape[1]).permute(0, 3, 1, 2)
    return torch.where(known, CERTAIN * one_hot, 0).to(logits.dtype)
