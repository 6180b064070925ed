r"""CorrMatch (Sun et al., CVPR 2024): correlated pixels share predictions and labels; the threshold adapts.

$$ A = \operatorname{softmax}\left( f_1^{\top} f_2 / \sqrt{C} \right), \quad q = p A $$
$$ L = L_l + \tfrac12 \sum_{k \in \{h, s, f, q\}} \lambda_k L_k $$

$f_1$ and $f_2$ are projections of the coarsest features with $C$ channels, the number of classes; $q$ spreads the
logits $p$, with a gradient through $A$ only. $L_l$ is the mean of the supervised losses $L_x(p) / 2$ and $L_x(q) / 2$,
and $L_q$ that of $L_h(q)$ and $L_w(q)$. $L_h$ is the cross-entropy of the strong view on sure and on reached pixels,
$L_f$ and $L_w$ that of the weak view on sure pixels with dropped features and without, $L_s$ the KL divergence from
weak to strong view on sure pixels.

A pixel is sure at a confidence of $\tau$ or more. $\tau$ follows, with momentum, the mean over the predicted classes of
their largest confidence. A drawn row of $A$, scaled to [0, 1], covers the pixels above 1/2. If a share of at least
$\tau$ of these is sure, and more than $\tau$ of the sure ones have one label, it reaches all and gives them this label.

Reference: Sun et al.: CorrMatch: Label Propagation via Correlation Matching for Semi-Supervised Semantic Segmentation.
CVPR 2024. Code: BBBBchan/CorrMatch at 44f9f9e.

Known to go wrong:
- Inside the pasted box $L_s$ compares two different images (`soft_in_box: false` leaves the box out).
- On Cityscapes an adaptive $\tau$ is worse than none (issue 12): use `threshold: 0` and `momentum: 1`.
- $A$ takes 6 GB for 16 crops of 769 at output stride 8.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from semiseg.base.lazy import F, torch
from semiseg.methods import _terms
from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods.method import Batch, Channels, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor, nn


class CorrMatch(Method):
    title = "CorrMatch"
    year = 2024
    fidelity = "paper's formulas"
    passes = Passes(1, 2.3, 1)

    class Options(PseudoLabelOptions):
        threshold: float = Field(0.85, ge=0, le=1)  # start value; code: 0.85 on VOC, 0 on Cityscapes
        momentum: float = Field(0.999, ge=0, le=1)  # code; 1: tau is constant
        lambda_hard: float = Field(0.25, ge=0)  # code, also for the other three
        lambda_soft: float = Field(0.25, ge=0)
        lambda_feature: float = Field(0.25, ge=0)
        lambda_shared: float = Field(0.25, ge=0)
        dropout: float = Field(0.5, ge=0, lt=1)  # channels dropped from the encoder's features; code
        cutmix_probability: float = Field(0.5, ge=0, le=1)  # code
        width: int = Field(256, ge=1)  # channels of the layer before f1 and f2; code, without its dropout of 0.1
        rows: int = Field(128, ge=0)  # rows of A for the whole batch; code; 0: no pixel is reached
        soft_in_box: bool = True  # code

    tuned = STRONG_VIEWS | {"threshold": Between(0.5, 0.95), "cutmix_probability": Between(0.0, 1.0)}
    tuned |= dict.fromkeys(("lambda_hard", "lambda_soft"), Between(0.1, 1.0, log=True))

    @classmethod
    def check(cls, options, setting) -> None:
        if options.cutmix_probability > 0:
            _terms.check_partners(setting.batch)

    def owned(self, channels: Channels) -> dict[str, nn.Module]:
        from semiseg.models.parts.small_network import conv_norm

        both = torch.nn.Conv2d(self.options.width, 2 * self.setting.classes, 1)  # f1 and f2
        return {"projections": torch.nn.Sequential(conv_norm(channels.encoder[-1], self.options.width), both)}

    def buffers(self) -> dict[str, Tensor]:
        return {"tau": torch.full((), self.options.threshold)}

    def confident(self, logits: Tensor, auxiliary=None, buffers=None) -> Tensor:
        return logits.float().softmax(1).amax(1) >= buffers["tau"]

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views
        from semiseg.models.correlation import share
        from semiseg.views import cutmix

        o, weak, size = self.options, batch.unlabelled, batch.unlabelled.shape[-2:]
        donor = _terms.pseudo_labels(step.targets(step.student_eval(weak).logits), batch).partner(step)
        strong = views.photometric(weak, step.draws, "strong", strength=self.setting.strength)
        box = cutmix.unimatch_boxes(step.draws, "cutmix", size, p=o.cutmix_probability)
        box = cutmix.mask(box, size, weak.device)
        strong = step.student.encode(cutmix.paste(strong, _terms.partner(strong, step), box))

        labelled, own, dropped, coarse = self._clean_and_dropped(batch, step)
        student = step.student.decode(strong, size)
        projected = _terms.beside(step, partial(step.owned, "projections"), *coarse)
        labelled_shared, _ = share(projected[0], labelled.logits)
        own_shared, rows = share(projected[1], own.logits)
        student_shared, _ = share(step.owned("projections", strong[-1]), student.logits)

        logits = step.targets(own.logits).detach()
        pseudo = _terms.pseudo_labels(logits, batch)
        mixed = pseudo.mixed(donor, box)
        tau = self._threshold(pseudo, mixed.valid, step)
        sure = mixed.valid & (mixed.confidence >= tau)
        taught = self._propagated(mixed, sure, rows, ~box & mixed.valid, tau, step)
        soft = F.kl_div(student.logits.float().log_softmax(1), logits.float().softmax(1), reduction="none").sum(1)
        soft = soft * (sure if o.soft_in_box else sure & ~box)
        on = partial(_terms.confident_cross_entropy, step=step)
        shared = on(student_shared, taught, 0.5) + on(own_shared, pseudo, tau)
        shared_labelled = step.supervised(replace(labelled, logits=labelled_shared, auxiliary=None), batch.label)
        return {
            "supervised": 0.25 * step.supervised(labelled, batch.label),
            "supervised_shared": 0.25 * shared_labelled,
            "hard": 0.5 * o.lambda_hard * on(student.logits, taught, 0.5),
            "soft": 0.5 * o.lambda_soft * step.global_mean(soft.sum(), mixed.valid.sum()),
            "feature": 0.5 * o.lambda_feature * on(dropped.logits, pseudo, tau),
            "shared": 0.25 * o.lambda_shared * shared,
        }

    def _clean_and_dropped(self, batch: Batch, step: Step) -> tuple[Any, Any, Any, list[Tensor]]:
        """Outputs: labelled, weak, weak with dropped features; and the coarsest features of the first two."""
        size, ahead = batch.image.shape[-2:], len(batch.image) * step.joint
        features = step.student.encode(torch.cat([batch.image, batch.unlabelled]) if step.joint else batch.unlabelled)
        dropped = _terms.channel_dropout([feature[ahead:] for feature in features], self.options.dropout, step)
        both = [torch.cat(pair) for pair in zip(features, dropped, strict=True)]
        labelled, own, lossy = step.student.decode(both, size).split([ahead, *[len(batch.unlabelled)] * 2])
        coarse = [features[-1][:ahead], features[-1][ahead:]]
        if not step.joint:
            alone = step.student.encode(batch.image)
            labelled, coarse[0] = step.student.decode(alone, size), alone[-1]
        return labelled, own, lossy, coarse

    def _threshold(self, pseudo: _terms.Pseudo, valid: Tensor, step: Step) -> Tensor:
        from semiseg.models.criteria import one_hot

        predicted = one_hot(pseudo.label, self.setting.classes) * (pseudo.confidence * valid)[:, None]
        best = step.gather(predicted.amax((2, 3))).amax(0)  # 0 for a class that is not predicted
        mean, tau, momentum = best.sum() / (best > 0).sum().clamp(min=1), step.buffers["tau"], self.options.momentum
        return tau.copy_(torch.where(mean > 0, momentum * tau + (1 - momentum) * mean, tau))

    def _propagated(self, mixed, sure: Tensor, rows: Tensor, allowed: Tensor, tau: Tensor, step: Step) -> _terms.Pseudo:
        """Pseudo-labels with confidence 1 on sure and reached pixels, which have a loss, and 0 elsewhere."""
        from semiseg.models.correlation import highlighted, propagate

        o = self.options
        if not o.rows:
            return mixed._replace(confidence=sure.float())
        drawn = _terms.shared_draws(step, "rows", (o.rows,), sure.device) * (rows.shape[1] - 1)  # never the last one
        covers = torch.stack([highlighted(one[drawn.long()], sure.shape[1:]) for one in rows]) & allowed[:, None]
        label, reached = propagate(mixed.label, sure, covers, tau, self.setting.classes)
        return mixed._replace(label=label, confidence=(sure | reached).float())
