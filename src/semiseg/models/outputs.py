"""The outputs of a network for a batch, and slices of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Regions:
    """Proposals of a mask-classification head, one per query (MaskFormer, Cheng et al. 2021)."""

    class_logits: Tensor  # [B, N, C + 1], the last class is "no object"
    mask_logits: Tensor  # [B, N, h, w]
    embeddings: Tensor  # [B, N, D], mask embeddings
    pixels: Tensor  # [B, D, h, w], per-pixel features; mask_logits are their products with the embeddings
    deep: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # (class_logits, mask_logits) of earlier layers

    def __getitem__(self, rows: slice) -> Regions:
        return Regions(
            self.class_logits[rows],
            self.mask_logits[rows],
            self.embeddings[rows],
            self.pixels[rows],
            [(classes[rows], masks[rows]) for classes, masks in self.deep],
        )


@dataclass
class Output:
    """Predictions for a batch; every field has the batch first."""

    logits: Tensor  # float32 [B, C, H, W] at the size of the input
    features: Tensor  # [B, D, h, w], the decoder's last features
    auxiliary: Tensor | None = None  # float32 [B, C, H, W]
    regions: Regions | None = None

    def __getitem__(self, rows: slice) -> Output:
        return Output(
            self.logits[rows],
            self.features[rows],
            None if self.auxiliary is None else self.auxiliary[rows],
            None if self.regions is None else self.regions[rows],
        )

    def split(self, sizes: Sequence[int]) -> list[Output]:
        """Consecutive parts of the batch; the sizes must add up to the batch, as for `torch.split`."""
        if sum(sizes) != len(self.logits):
            raise ValueError(f"sizes {list(sizes)} do not add up to the batch of {len(self.logits)}")
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return [self[start : start + size] for start, size in zip(starts, sizes, strict=True)]
