"""Terms that several methods share: pseudo-labels, CutMix partners, means over pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from semiseg.base.errors import UserError
from semiseg.base.lazy import F, torch

if TYPE_CHECKING:
    from torch import Tensor

    from semiseg.methods.method import Batch, Step


class Pseudo(NamedTuple):
    """Per unlabelled pixel: the predicted class, its probability, and whether the pixel is image and not padding."""

    label: Tensor  # [B,H,W] int64
    confidence: Tensor  # [B,H,W]
    valid: Tensor  # [B,H,W] bool

    def mixed(self, donor: Pseudo, mask: Tensor) -> Pseudo:
        """CutMix of targets: those of the donor inside the mask.

        Label, confidence and validity of a pixel stay together.
        """
        return Pseudo(*(torch.where(mask, theirs, own) for own, theirs in zip(self, donor, strict=True)))

    def partner(self, step: Step) -> Pseudo:
        return Pseudo(*(partner(x, step) for x in self))


def beside(step: Step, network: Any, labelled: Tensor, *unlabelled: Tensor) -> list[Any]:
    """Outputs of a network in training mode for the labelled images and for each of the unlabelled batches.

    With `recipe.batch_norm: joint` all of them share one pass, and therefore the statistics of batch norm; with
    `separate` the labelled images have a separate pass.
    """
    sizes = [len(labelled), *map(len, unlabelled)]
    if step.joint:
        return network(torch.cat([labelled, *unlabelled])).split(sizes)
    return [network(labelled), *network(torch.cat(unlabelled)).split(sizes[1:])]


def valid_pixels(batch: Batch) -> Tensor:
    """[B,H,W] bool: False on padding."""
    if batch.valid is not None:
        return batch.valid
    return torch.ones_like(batch.unlabelled[:, 0], dtype=torch.bool)


def pseudo_labels(logits: Tensor, batch: Batch) -> Pseudo:
    """argmax and max of softmax, without gradient; `logits` are the output of `step.targets`."""
    confidence, label = logits.detach().float().softmax(1).max(1)
    return Pseudo(label, confidence, valid_pixels(batch))


def everyone(rows: Tensor, count: int, step: Step) -> Tensor:
    """Rows of all processes without gradient: all labelled (`count` in this process), then all unlabelled."""
    return torch.cat([step.gather(rows[:count]), step.gather(rows[count:])])


def own_vectors(maps: Tensor, count: int, step: Step, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors of maps [B,D,h,w] at positions among all processes' pixels, and which of them are in this process."""
    vectors = maps.movedim(1, 3).flatten(0, 2).float()
    numbers = torch.arange(len(vectors), device=maps.device).view_as(maps[:, 0]) + len(vectors) * step.rows.start
    numbers = everyone(numbers, count, step).flatten()[positions]
    return vectors[numbers % len(vectors)], numbers // len(vectors) == step.rows.start


def shared_draws(step: Step, stream: str, shape: Sequence[int], device: torch.device) -> Tensor:
    """Numbers in [0, 1) that are the same in every process."""
    from semiseg.feed.transfer import to_device

    return to_device(step.draws.shared(stream, math.prod(shape)).reshape(shape), device)


def partner(rows: Tensor, step: Step) -> Tensor:
    """The donors of CutMix: the previous image in the batch of all processes, on one GPU as on many."""
    return step.gather(rows).roll(1, 0)[step.rows]


def confident_cross_entropy(logits: Tensor, pseudo: Pseudo, threshold: float, step: Step) -> Tensor:
    """(1/N) sum_j 1[confidence_j >= threshold] CE(logits_j, label_j), N counting ALL valid pixels (FixMatch)."""
    values = F.cross_entropy(logits.float(), pseudo.label, reduction="none")
    chosen = pseudo.valid & (pseudo.confidence >= threshold)
    return step.global_mean((values * chosen).sum(), pseudo.valid.sum())


def entropy(logits: Tensor) -> Tensor:
    """[B,H,W]"""
    probabilities = logits.detach().float().softmax(1)
    return -(probabilities * (probabilities + 1e-10).log()).sum(1)


def percentiles(values: Tensor, counted: Tensor, percents: Sequence[float]) -> Sequence[Tensor]:
    """Quantile of the counted values, interpolated linearly; infinite if no value is counted."""
    ordered = values.where(counted, torch.inf).flatten().sort().values
    last = (counted.sum() - 1).clamp(min=0).double()
    at = torch.stack([last * (percent / 100) for percent in percents])
    return ordered[at.long()].lerp(ordered[at.ceil().long()], at.frac().float()).unbind()


def nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels or a mask [B,H,W] at another size."""
    return F.interpolate(maps[:, None].float(), size, mode="nearest")[:, 0].long()


def mean_over_pixels(values: Tensor, step: Step) -> Tensor:
    """Mean over ALL elements of the batch of all processes, including those that a mask has set to 0."""
    return step.global_mean(values.sum(), values.new_full((), values.numel()))


def squared_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """[B,H,W]: sum over classes of the squared difference of probabilities."""
    return (student - teacher).square().sum(1)


def channel_dropout(features: list[Tensor], share: float, step: Step) -> list[Tensor]:
    """Dropout of whole channels, like nn.Dropout2d, but with draws that are keyed by sample."""
    from semiseg.feed.transfer import to_device

    kept = []
    for k, feature in enumerate(features):
        survives = step.draws.uniform(f"dropout{k}", feature.shape[1]) >= share
        scale = to_device(survives, feature.device).to(feature.dtype) / (1 - share)
        kept.append(feature * scale[:, :, None, None])
    return kept


def check_ramp_up(ramp_up: float, iterations: int) -> None:
    if ramp_up > 1:
        raise UserError(
            f"ramp_up: {ramp_up:g} is a share of the training: {ramp_up * iterations:.0f} iterations of ramp-up are "
            f"more than the {iterations} of the training; give at most 1"
        )


def check_partners(batch: int) -> None:
    if batch < 2:
        raise UserError(
            f"{batch} unlabelled image goes through a step at once (batch.unlabelled over optimiser.accumulate), but "
            "CutMix pastes one into another; raise batch.unlabelled or lower accumulate"
        )


def gaussian_ramp_up(step: Step, share: float) -> float:
    """exp(-5 (1-t)^2), t growing from 0 to 1 over the first `share` of the training (Laine & Aila; Mean Teacher)."""
    length = share * step.iterations
    t = min(step.iteration / length, 1.0) if length > 0 else 1.0
    return math.exp(-5.0 * (1.0 - t) ** 2)
