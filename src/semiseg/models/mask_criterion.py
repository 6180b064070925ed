"""MaskFormer's set criterion (Cheng et al. 2021) for semantic labels: one target region per class.

L = L_class + 20 L_focal + 1 L_dice, summed over all decoder layers, each with a separate matching. The weights 20
and 1, 0.1 for "no object" and the focal loss's alpha 0.25 and gamma 2 are those of MaskFormer's code. Ignored pixels
are left out of the mask losses, and an image without a valid pixel is left out altogether.

Free choice: MaskFormer resizes masks to the size of the label. Here the label is resized to the size of the masks, as
the share of each cell that a class covers. At equal sizes both are the same; at stride 4 this takes a sixteenth of the
memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from semiseg.base.labels import IGNORE
from semiseg.models.criteria import Mean, one_hot, ratio
from semiseg.models.matching import match
from semiseg.models.outputs import Regions

FOCAL, DICE, NO_OBJECT = 20.0, 1.0, 0.1
ALPHA, GAMMA = 0.25, 2


def mask_classification(regions: Regions, label: Tensor, ignore: int = IGNORE, mean: Mean = ratio) -> Tensor:
    """The criterion for labels [B, H, W]. Layers are stacked as one batch, so that the host matches all at once."""
    layers = len(regions.deep) + 1
    class_logits = torch.cat([classes for classes, _ in regions.deep] + [regions.class_logits]).float()
    mask_logits = torch.cat([masks for _, masks in regions.deep] + [regions.mask_logits]).float()
    classes = class_logits.shape[2] - 1
    with torch.autocast(label.device.type, enabled=False):
        shares = F.adaptive_avg_pool2d(one_hot(label, classes, ignore), mask_logits.shape[-2:]).repeat(layers, 1, 1, 1)
        present = shares.flatten(2).amax(dim=2) > 0
        mask_losses = pairwise_mask_losses(mask_logits, shares)
        rows = match(mask_losses - class_logits.softmax(dim=2)[..., :classes], present)
        paired = rows >= 0
        chosen = mask_losses.gather(1, rows.clamp(min=0)[:, None])[:, 0]
        # Every layer has equally many pairs, so the mean over all pairs times the number of layers is the sum of the
        # means.
        mask_loss = mean((chosen * paired).sum(), paired.sum())
        class_loss = _class_loss(class_logits, rows, present.any(dim=1), mean)
        return layers * (class_loss + mask_loss)


def pairwise_mask_losses(mask_logits: Tensor, shares: Tensor) -> Tensor:
    """20 L_focal + L_dice of every mask [B, N, h, w] with every class's region [B, C, h, w], as [B, N, C]."""
    logits = mask_logits.flatten(2)
    inside = shares.flatten(2).transpose(1, 2)
    valid = inside.sum(dim=2, keepdim=True)
    probability = logits.sigmoid()
    positive = ALPHA * (1 - probability) ** GAMMA * F.softplus(-logits)
    negative = (1 - ALPHA) * probability**GAMMA * F.softplus(logits)
    pixels = valid.sum(dim=1, keepdim=True)
    focal = ((positive - negative) @ inside + negative @ valid) / pixels.clamp(min=1e-6)
    covered = probability @ valid + inside.sum(dim=1, keepdim=True)
    dice = 1 - (2 * (probability @ inside) + 1) / (covered + 1)
    return FOCAL * focal + DICE * dice


def _class_loss(class_logits: Tensor, rows: Tensor, has_labels: Tensor, mean: Mean) -> Tensor:
    """Cross-entropy of every query; unmatched queries have the class "no object" with weight 0.1."""
    batch, queries, classes = class_logits.shape[0], class_logits.shape[1], class_logits.shape[2] - 1
    # Column `queries` takes the classes that have no query.
    target = torch.full((batch, queries + 1), classes, device=rows.device)
    target.scatter_(
        1, torch.where(rows >= 0, rows, queries), torch.arange(classes, device=rows.device).expand(batch, -1)
    )
    target = target[:, :queries]
    loss = F.cross_entropy(class_logits.transpose(1, 2), target, reduction="none")
    # Weights are at least 1, so a count below 1 always means "nothing to average".
    weight = torch.where(target == classes, 1.0, 1 / NO_OBJECT) * has_labels[:, None]
    return mean((loss * weight).sum(), weight.sum())
