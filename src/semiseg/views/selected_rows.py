"""Apply an operation to some samples of a batch, chosen on the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from semiseg.feed.transfer import to_device

CACHE = 2**18  # number of floats that fit into a core's second-level cache during an operation with many passes


def apply_rows(pixels: Tensor, rows: np.ndarray, operation: Callable[..., Tensor], *parameters: np.ndarray) -> None:
    """`pixels[rows] = operation(pixels[rows], parameter[rows], …)`; other samples cost nothing.

    The host drew the rows, so it need not wait for the device. A GPU gets all rows at once, a CPU as many as fit into
    its cache.
    """
    if len(rows) == 0:
        return
    step = len(rows) if pixels.is_cuda else max(1, CACHE // pixels[0].numel())
    for start in range(0, len(rows), step):
        _apply(pixels, rows[start : start + step], operation, parameters)


def _apply(
    pixels: Tensor, rows: np.ndarray, operation: Callable[..., Tensor], parameters: tuple[np.ndarray, ...]
) -> None:
    vectors = [to_device(parameter[rows].astype(np.float32), pixels.device) for parameter in parameters]
    if len(rows) == len(pixels):
        pixels.copy_(operation(pixels, *vectors))
        return
    index = to_device(rows, pixels.device)
    pixels.index_copy_(0, index, operation(pixels.index_select(0, index), *vectors))
