"""Contrast with a first-in-first-out memory of vectors for each class; shapes are fixed, and the host never waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from semiseg.models.criteria import one_hot


def make(classes: int, first: int, size: int, width: int) -> dict[str, Tensor]:
    """An empty memory: `first` vectors of class 0 and `size` of every other class.

    memory: one ring of rows for each class, one ring after the other; size: rows of each ring;
    seen: number of vectors stored per class so far; the next one goes to row `seen % size` of the ring.
    """
    sizes = torch.full((classes,), size)
    sizes[0] = first
    return {
        "memory": torch.zeros(first + (classes - 1) * size, width),
        "size": sizes,
        "seen": torch.zeros_like(sizes),
    }


def masks(
    label: Tensor,
    certainty: Sequence[Tensor],
    probabilities: Tensor,
    labelled: int,
    delta: float,
    ranks: tuple[int, int],
    of_class_only: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Masks [B,C,h,w] of the pixels for each class: its positive, its anchors and its negatives.

    Labels and certainty (reliable, unreliable) are [B,h,w], the teacher's probabilities [B,C,h,w]; the first `labelled`
    images are labelled. A negative of a class has it among the ranks below the first number if it is labelled
    otherwise, and from the first to below the second if it is unlabelled.

    of_class_only: negatives also need the class as their label, as in the official code.
    """
    reliable, unreliable = (mask[:, None] > 0 for mask in certainty)
    of_class = one_hot(label, probabilities.shape[1]) > 0
    rank = probabilities.argsort(dim=1, descending=True, stable=True).argsort(1)
    first, second = ranks
    known = ~of_class[:labelled] & (rank[:labelled] < first)
    confused = torch.cat([known, (rank[labelled:] >= first) & (rank[labelled:] < second)])
    confused = confused & of_class if of_class_only else confused
    positive = of_class & reliable
    return positive, positive & (probabilities > delta), confused & unreliable


def contrast(
    bank: dict[str, Tensor],
    keys: Tensor,
    masks: Sequence[Tensor],
    shares: Tensor,
    anchors: Callable[[Tensor], tuple[Tensor, Tensor]],
    temperature: float,
    by_place: bool = False,
) -> tuple[Tensor, Tensor]:
    """InfoNCE of this process's anchors: their sum and number; all classes that occur contribute all their anchors.

    keys [N,D]: vectors of all pixels of all processes. masks [N,C]: pixels whose mean is a class's positive, candidates
    for its anchors, and pixels that its memory stores. shares [C,n,1+k]: draws of n anchors, and of k negatives each.
    `anchors` returns the vectors at positions [C,n], and which of them belong to this process.
    by_place: the i-th occurring class has the anchors and the positive of class i.
    """
    keys, (positive, candidates, negative) = keys.float(), (mask.T for mask in masks)
    remember(bank, keys, negative)
    occurs = positive.any(1)
    means = positive.float() @ keys / positive.sum(1, keepdim=True).clamp(min=1)
    if by_place:
        place = (occurs.cumsum(0) - 1).clamp(min=0)
        candidates, means = candidates[place], means[place]
    vectors, mine = anchors(drawn(candidates, shares[..., 0]))
    values = info_nce(vectors, means, recall(bank, shares[..., 1:]), temperature)
    learns = occurs & candidates.any(1) & (bank["seen"] > 0) & (occurs.sum() > 1)
    return (values * (mine & learns[:, None])).sum(), (mine & occurs[:, None]).sum()


def remember(bank: dict[str, Tensor], vectors: Tensor, mask: Tensor) -> None:
    """Store the vectors [N,D] of each class in order; row c of the mask [C,N] selects those of class c."""
    memory, size, seen = bank["memory"], bank["size"], bank["seen"]
    order, count = mask.cumsum(1) - 1, mask.sum(1)
    # If there are more vectors than a ring holds, the last ones stay; all others go to an extra row.
    stays = mask & (order >= (count - size)[:, None])
    rows = torch.where(stays, _rows(bank, seen[:, None] + order), len(memory))
    numbers = torch.arange(len(vectors), device=rows.device).expand_as(rows)
    source = torch.full((len(memory) + 1,), -1, device=rows.device)
    source = source.scatter_(0, rows.flatten(), numbers.flatten())[:-1]
    memory.copy_(torch.where(source[:, None] >= 0, vectors[source.clamp(min=0)], memory))
    seen.add_(count)


def recall(bank: dict[str, Tensor], shares: Tensor) -> Tensor:
    """Vectors [C,n,k,D] of each class, drawn by numbers [C,n,k] in [0, 1); 0 is the oldest stored vector."""
    held = torch.minimum(bank["seen"], bank["size"])[:, None, None]
    age = (shares * held).long()
    return bank["memory"][_rows(bank, bank["seen"][:, None, None] - held + age)]


def _rows(bank: dict[str, Tensor], order: Tensor) -> Tensor:
    """Rows of the memory for vectors of each class, numbered in order of arrival; [C,...]."""
    size = bank["size"].view(-1, *[1] * (order.dim() - 1))
    return size.cumsum(0) - size + order % size


def drawn(mask: Tensor, shares: Tensor) -> Tensor:
    """Positions [C,n] drawn among the set entries of the mask [C,N] by numbers [C,n] in [0, 1).

    Arbitrary if none is set.
    """
    chosen = (shares * mask.sum(1, keepdim=True)).long()
    return torch.searchsorted(mask.cumsum(1), chosen + 1).clamp(max=mask.shape[1] - 1)


def info_nce(anchors: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """InfoNCE [C,n] by cosines, of anchors [C,n,D], one positive [C,D] per class, and negatives [C,n,k,D]."""
    anchors, positive = F.normalize(anchors, dim=2, eps=1e-8), F.normalize(positive, dim=1, eps=1e-8)
    unlike = torch.einsum("cnd,cnkd->cnk", anchors, negatives) / negatives.norm(dim=3).clamp(min=1e-8)
    like = torch.einsum("cnd,cd->cn", anchors, positive)[:, :, None]
    return -(torch.cat([like, unlike], 2) / temperature).log_softmax(2)[:, :, 0]
