"""The strong view of ST++ and UniMatch: colour jitter, greyscale and blur, each with a probability."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from semiseg.feed.draws import Draws
from semiseg.views import colour
from semiseg.views.filters import box_taps, gaussian_blur
from semiseg.views.selected_rows import apply_rows

BLUR_SIGMA = (0.1, 2.0)
JITTER = (colour.brightness, colour.contrast, colour.saturation, colour.hue)


def photometric(
    pixels: Tensor,
    draws: Draws,
    stream: str,
    jitter: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 0.25),
    p_jitter: float = 0.8,
    p_grey: float = 0.2,
    p_blur: float = 0.5,
    strength: float = 1.0,
) -> Tensor:
    """Each sample has separate draws, except for the order of the four jitter operations, which is drawn for the batch.

    `jitter` as in torchvision's ColorJitter: brightness, contrast and saturation factors in [max(0, 1 - x), 1 + x],
    hue shifts in [-x, x]. `strength` below 1 blends the result with the weak view.
    """
    numbers = draws.uniform(stream, 8)
    order = draws.permutation(f"{stream}/order", 4)
    apply_jitter, apply_grey, apply_blur = (
        np.flatnonzero(numbers[:, i] < p) for i, p in enumerate((p_jitter, p_grey, p_blur))
    )
    low = np.maximum(0.0, 1 - np.array(jitter[:3]))
    factors = low + (1 + np.array(jitter[:3]) - low) * numbers[:, 3:6]
    shifts = jitter[3] * (2 * numbers[:, 6:7] - 1)
    parameters = np.concatenate((factors, shifts), axis=1)

    def jittered(part: Tensor, values: Tensor) -> Tensor:
        for i in order:
            part = JITTER[i](part, values[:, i])
        return part

    weak, pixels = pixels, pixels.clone()
    apply_rows(pixels, apply_jitter, jittered, parameters)
    apply_rows(pixels, apply_grey, colour.to_grey)
    sigma = BLUR_SIGMA[0] + (BLUR_SIGMA[1] - BLUR_SIGMA[0]) * numbers[:, 7]
    apply_rows(pixels, apply_blur, gaussian_blur, box_taps(sigma))
    return colour.mitigate(pixels, weak, strength)
