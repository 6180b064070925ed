"""Correlated pixels share predictions and labels (CorrMatch); shapes are fixed, and the host never waits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from semiseg.models.criteria import one_hot


def share(projections: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """q = p A at the size of the logits [B,C,H,W], and A as [B,hw,h,w], from [B,2C,h,w].

    The gradient flows through A only.

    A is the softmax over columns of f1' f2 / sqrt(C); p are the logits at the projections' size.
    """
    size = projections.shape[-2:]
    first, second = projections.float().flatten(2).chunk(2, 1)
    correlation = (first.transpose(1, 2) @ second / first.shape[1] ** 0.5).softmax(2)
    shared = _resize(logits.detach().float(), size).flatten(2) @ correlation
    return _resize(shared.unflatten(2, size), logits.shape[-2:]), correlation.detach().unflatten(2, size)


def highlighted(rows: Tensor, size: Sequence[int]) -> Tensor:
    """Resize rows of A [K,h,w], scale each to [0, 1], and return where they exceed 1/2; bool [K,H,W]."""
    maps = _resize(rows[None], size)[0]
    low, high = maps.flatten(1).aminmax(dim=1)
    low, high = low[:, None, None], high[:, None, None]
    return (maps - low) / (high - low) > 0.5


def propagate(label: Tensor, sure: Tensor, covers: Tensor, tau: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Labels [B,H,W] after each row of A has spread its label, and the pixels that a row has reached.

    covers [B,K,H,W]: the pixels of each row. A row spreads its most frequent label among sure pixels [B,H,W] to all
    pixels that it covers, if a share of at least tau of its pixels is sure and more than tau of these have that label.

    Rows are processed in sequence. As in the official code, earlier rows may have overwritten labels that a row counts,
    so the result depends on the order. Everything that does not depend on the order is computed for all rows at once;
    each pass of the loop processes one row of every image, and the host never waits. The official loop processes each
    row of each image separately, and waits each time.
    """
    covers, numbers = covers.flatten(2), torch.arange(classes, device=label.device)
    voters = covers & sure.flatten(1)[:, None]
    count = voters.sum(2)
    enough = (count > 0) & (count / covers.sum(2).clamp(min=1) >= tau)
    maps, reached = one_hot(label, classes).flatten(2), torch.zeros_like(sure.flatten(1))
    for cover, voter, voting, judged in zip(*(x.unbind(1) for x in (covers, voters, count, enough)), strict=True):
        most, top = (maps @ voter[:, :, None].float())[:, :, 0].max(1)
        spreads = cover & (judged & (most / voting.clamp(min=1) > tau))[:, None]
        maps = torch.where(spreads[:, None], (top[:, None] == numbers).float()[:, :, None], maps)
        reached = reached | spreads
    return maps.argmax(1).view_as(label), reached.view_as(label)


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)
