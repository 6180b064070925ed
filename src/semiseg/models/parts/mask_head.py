"""Mask classification on any encoder, after MaskFormer (Cheng et al. 2021).

Queries propose regions: each has a class and a mask. `transformers` has a MaskFormer, but with separate encoders,
configuration and loss; adapting it would take more code than the pixel decoder, transformer decoder and heads here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semiseg.models.outputs import Output, Regions
from semiseg.models.parts.small_network import conv_norm, resize


class PixelDecoder(nn.Module):
    """A feature pyramid (Lin et al. 2017): coarse to fine, then one convolution at the finest size."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.smooth = conv_norm(width, width)
        self.output = nn.Conv2d(width, width, 1)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Per-pixel features, and the projected coarsest features."""
        finer_first = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        coarse = x = finer_first[-1]
        for lateral in finer_first[-2::-1]:
            x = lateral + F.interpolate(x, size=lateral.shape[-2:], mode="bilinear")
        return self.output(self.smooth(x)), coarse


def positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Sine and cosine of rows and columns at growing wavelengths [height * width, channels] (Carion et al. 2020)."""
    frequencies = 10_000.0 ** (-torch.arange(channels // 4, device=device) / (channels // 4))

    def waves(length: int) -> Tensor:
        angles = torch.arange(1, length + 1, device=device)[:, None] / length * 2 * math.pi * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    rows = waves(height)[:, None].expand(height, width, channels // 2)
    columns = waves(width)[None].expand(height, width, channels // 2)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)


class MaskHead(nn.Module):
    """N queries attend to the coarsest features; every layer's queries give classes and masks (deep supervision).

    Free choices that differ from MaskFormer: no dropout; feed-forward width 4 instead of 8 times the query's; learned
    queries are the decoder's input and not added in every layer. The semantic map is computed at the size of the masks
    and its logarithm is up-sampled, which takes C instead of N maps of the input's size.
    """

    def __init__(self, channels: Sequence[int], classes: int, queries: int, layers: int, width: int) -> None:
        super().__init__()
        self.levels = len(channels)
        self.pixel_decoder = PixelDecoder(channels, width)
        self.queries = nn.Parameter(torch.randn(queries, width))
        heads = width // 32
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, classes + 1)
        self.embed = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        pixels, coarse = self.pixel_decoder(features[-self.levels :])
        place = positions(*coarse.shape[-2:], coarse.shape[1], coarse.device)
        memory = coarse.flatten(2).transpose(1, 2) + place
        queries = self.queries.expand(len(pixels), -1, -1)
        proposals = []
        for layer in self.layers:
            queries = layer(queries, memory)
            proposals.append(self._propose(self.norm(queries), pixels))
        *deep, (classes, masks, embeddings) = proposals
        regions = Regions(classes, masks, embeddings, pixels, [(c, m) for c, m, _ in deep])
        return Output(semantic_logits(classes, masks, size), pixels, regions=regions)

    def _propose(self, queries: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = self.embed(queries)
        masks = torch.einsum("bnd,bdhw->bnhw", embeddings, pixels)
        return self.classifier(queries), masks, embeddings


def semantic_logits(class_logits: Tensor, mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """log sum_k softmax(class_k)_c sigmoid(mask_k), normalised over the classes (MaskFormer)."""
    with torch.autocast(class_logits.device.type, enabled=False):
        classes = class_logits.float().softmax(dim=2)[..., :-1]
        scores = torch.einsum("bnc,bnhw->bchw", classes, mask_logits.float().sigmoid())
        return resize(scores.clamp(min=1e-6).log(), size).log_softmax(dim=1)
