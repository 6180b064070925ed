"""Evaluation protocols: how predictions for a whole image are computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDING = 1e-6  # makes two thirds of 801 equal 534 in spite of rounding
Predict = Callable[[Tensor], Tensor]  # normalised images [B,3,H,W] -> logits [B,C,H,W]


def labels(predict: Predict, images: Tensor, protocol: dict[str, Any]) -> Tensor:
    """Predicted classes [B,H,W]. With a single view the largest logit suffices, without probabilities."""
    if _one_forward(protocol):
        return LOGITS[protocol["name"]](predict, images, protocol).max(1).indices
    return _summed(predict, images, protocol).max(1).indices


def labels_and_confidence(predict: Predict, images: Tensor, protocol: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The same classes, and the probability of each [B,H,W]."""
    if _one_forward(protocol):
        logits = LOGITS[protocol["name"]](predict, images, protocol).float()
        largest, found = logits.max(1)
        return found, (largest - logits.logsumexp(1)).exp()
    total = _summed(predict, images, protocol)
    largest, found = total.max(1)
    return found, largest / total.sum(1)


def _one_forward(protocol: dict[str, Any]) -> bool:
    """Whether the protocol uses a single view of the whole image."""
    one_view = len(protocol["scales"]) == 1 and protocol["scales"][0] == 1 and not protocol["flip"]
    return one_view and protocol["name"] in LOGITS


def probabilities(predict: Predict, images: Tensor, protocol: dict[str, Any]) -> Tensor:
    """Class probabilities [B,C,H,W] at the images' own size, averaged over scales and mirror images if configured."""
    total = _summed(predict, images, protocol)
    return total / total.sum(1, keepdim=True)


def _summed(predict: Predict, images: Tensor, protocol: dict[str, Any]) -> Tensor:
    """Sum of probabilities over views and windows."""
    size = images.shape[-2:]
    total = None
    for scale in protocol["scales"]:
        scaled = (
            images if scale == 1 else F.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
        )
        for mirror in (False, True) if protocol["flip"] else (False,):
            result = _one_view(predict, scaled.flip(-1) if mirror else scaled, protocol)
            result = result.flip(-1) if mirror else result
            if result.shape[-2:] != size:
                result = F.interpolate(result, size, mode="bilinear", align_corners=False)
            total = result if total is None else total + result
    return total


def _one_view(predict: Predict, images: Tensor, protocol: dict[str, Any]) -> Tensor:
    if protocol["name"] == "sliding":
        return _sliding(predict, images, protocol)
    return LOGITS[protocol["name"]](predict, images, protocol).softmax(1)


def centre(size: tuple[int, int], window: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the centre crop; the whole side if the image is smaller."""
    starts = [max((side - length) // 2, 0) for side, length in zip(size, window, strict=True)]
    return tuple(slice(start, start + length) for start, length in zip(starts, window, strict=True))


def _whole(predict: Predict, images: Tensor, protocol: dict[str, Any]) -> Tensor:
    return predict(images).float()


def _padded(predict: Predict, images: Tensor, protocol: dict[str, Any]) -> Tensor:
    """AdvSemiSeg: pad with zeros (the mean colour) below and to the right to a fixed size, then crop the prediction."""
    height, width = images.shape[-2:]
    rows, columns = (max(target - side, 0) for target, side in zip(protocol["size"], (height, width), strict=True))
    return predict(F.pad(images, (0, columns, 0, rows))).float()[..., :height, :width]


LOGITS = {"whole": _whole, "centre_crop": _whole, "padded": _padded}  # protocols with a single pass of the network


def _sliding(predict: Predict, images: Tensor, protocol: dict[str, Any]) -> Tensor:
    """Softmax scores summed over windows. `truncate` cuts border windows short, as iMAS, AugSeg and UniMatch do."""
    height, width = images.shape[-2:]
    window = protocol["size"]
    total = None
    for top in _starts(height, window[0], protocol):
        for left in _starts(width, window[1], protocol):
            part = (..., slice(top, min(top + window[0], height)), slice(left, min(left + window[1], width)))
            scores = predict(images[part]).float().softmax(1)
            if total is None:
                total = scores.new_zeros(len(images), scores.shape[1], height, width)
            total[part] += scores
    return total


def _starts(side: int, window: int, protocol: dict[str, Any]) -> list[int]:
    """`truncate`: every int(stride) pixels. `shift`: every ceil(stride) pixels, the last window moved inside.

    `shift` uses the windows of CPS. CPS also sums logits and pads images that are smaller than the window; here
    probabilities are summed and small images are not padded.
    """
    stride = window * protocol["stride"]
    if protocol["border"] == "truncate":
        return list(range(0, side, max(int(stride + ROUNDING), 1)))
    step = math.ceil(stride - ROUNDING)
    last = max(side - window, 0)
    return [min(index * step, last) for index in range(math.ceil(last / step) + 1)]


def label_map(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Predicted class and its probability."""
    confidence, label = torch.max(scores, 1)
    return label, confidence
