r"""U2PL (Wang et al., CVPR 2022): pixels that are too uncertain for a label still exclude classes.

$$ L = L_x + \lambda_u L_u + \lambda_c L_c $$
$$ L_u = \frac{n}{n_{\text{kept}}^2} \sum_{j \text{ kept}} \operatorname{CE}(p_j, \hat y_j) $$
$$ L_c = \operatorname{mean}_c \operatorname{mean}_z l(z) $$
$$ l(z) = - \log \frac{e^{\cos(z, z^+) / \tau}}{\sum_{z' \in \{z^+, z^-\}} e^{\cos(z, z') / \tau}} $$

$H_j$ is the entropy of the teacher's prediction on the mixed images. $\alpha_t$ falls from $\alpha$ to 0 percent over
the training (in the code once an epoch). Of the $n$ pixels those are kept whose $H_j$ is below its percentile
$100 - \alpha_t$. $L_c$ is a mean over the classes $c$ that occur and over their anchors:

- $z$: the student's vectors for pixels of $c$ with $p^t_{jc} > \delta_p$; unlabelled pixels also need $H_j$ in the
  lowest $\alpha_t$ percent;
- $z^+$: the mean of the teacher's vectors for all these pixels, without $\delta_p$;
- $z^-$: drawn from a first-in-first-out memory of the teacher's vectors, which holds unlabelled pixels with $H_j$ in
  the highest $\alpha_t$ percent where $c$ has a rank from low_rank to below high_rank (0: the most likely class), and
  labelled pixels of other classes where the rank of $c$ is less than low_rank.

Percentiles, $z$ and $z^+$ are computed over the batch of all processes, without padding. Unlike in the code, the
teacher predicts in evaluation mode, and the representation head uses the decoder's last features without dropout.

Reference: Wang et al.: Semi-Supervised Semantic Segmentation Using Unreliable Pseudo-Labels. CVPR 2022.
Code: Haochen-Wang409/U2PL at ab3d2be.

Known to go wrong:
- In the code $z^-$ must have the label $c$, so no labelled pixel is a negative (issue 171), and the i-th occurring
  class uses $z$ and $z^+$ of class i (issue 111). The option `contrast` chooses between paper and code.
- With two or three classes no unlabelled pixel is a negative by the default ranks; set low_rank to 1.
- With random start weights early errors may stay, since nearly all pixels have a loss: raise supervised_share.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from semiseg.base.errors import UserError
from semiseg.base.lazy import F, torch
from semiseg.methods import _terms
from semiseg.methods._ranges import EVERY_METHOD, Between
from semiseg.methods.method import Batch, Channels, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor, nn


class U2PL(Method):
    title = "U2PL"
    year = 2022
    fidelity = "paper's formulas"
    passes = Passes(1, 1, 2, labelled_without_gradient=1)
    reports = "teacher"
    needs_teacher = True
    tuned = EVERY_METHOD | {"supervised_share": Between(0.0, 0.5), "lambda_contrast": Between(0.03, 1.0, log=True)}

    class Options(PseudoLabelOptions):
        supervised_share: float = Field(0.0125, ge=0, lt=1)  # L_x only; code: 1 of 80 epochs, none on Cityscapes
        lambda_unlabelled: float = Field(1.0, ge=0)  # code
        lambda_contrast: float = Field(0.1, ge=0)  # paper; code 1 (issue 52: results hardly depend on it)
        cutmix_probability: float = Field(0.5, ge=0, le=1)  # code: for the whole batch
        alpha: float = Field(20.0, gt=0, le=50)  # paper and code, in percent
        delta_p: float = Field(0.3, ge=0, lt=1)  # paper and code
        low_rank: int = Field(3, ge=1)  # paper and code; 1 with two classes (issue 17)
        high_rank: int = Field(20, ge=2)  # paper and code
        anchors: int = Field(256, ge=1)  # anchors per class; code, which the authors recommend; paper 50
        negatives: int = Field(50, ge=1)  # negatives per anchor; code; paper 256
        temperature: float = Field(0.5, gt=0)  # paper and code
        memory: int = Field(30_000, ge=1)  # vectors per class; code
        memory_first: int = Field(50_000, ge=1)  # vectors of class 0; code
        representation: int = Field(256, ge=1)  # channels; code
        contrast: Literal["paper", "code"] = "paper"  # code: with two faults of the published code (issues 171 and 111)

    @classmethod
    def check(cls, options, setting) -> None:
        if options.cutmix_probability > 0:
            _terms.check_partners(setting.batch)
        seen = setting.iterations * setting.batch * setting.crop[0] * setting.crop[1]
        if (size := max(options.memory, options.memory_first)) > seen:
            raise UserError(f"memory, memory_first: give at most {seen} (one for each unlabelled pixel), not {size}")

    def owned(self, channels: Channels) -> dict[str, nn.Module]:
        from semiseg.models.parts.small_network import projection

        return {"representation": projection(channels.decoder, self.options.representation)}

    def buffers(self) -> dict[str, Tensor]:
        from semiseg.models import class_memory

        o, threshold = self.options, {"threshold": torch.zeros(())}
        return threshold | class_memory.make(self.setting.classes, o.memory_first, o.memory, o.representation)

    def confident(self, logits: Tensor, auxiliary=None, buffers=None) -> Tensor:
        return _terms.entropy(logits) < buffers["threshold"]

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        o, count = self.options, len(batch.image)
        if step.iteration < o.supervised_share * step.iterations:
            return {"supervised": step.supervised(step.student(batch.image), batch.label)}
        mixed, label = self._mix(batch, step)
        students = _terms.beside(step, step.student, batch.image, mixed)
        teacher = step.teacher(torch.cat([batch.image, mixed]))
        unsure, valid = _terms.entropy(teacher.logits[count:]), label != 255
        alpha = o.alpha * (1 - step.iteration / step.iterations)
        low, high = _terms.percentiles(step.gather(unsure), step.gather(valid), (alpha, 100 - alpha))
        step.buffers["threshold"].copy_(high)
        kept = valid & (unsure < high)
        values = F.cross_entropy(students[1].logits.float(), label.where(valid, 0), reduction="none")
        kept_everywhere = step.gather(kept)
        ratio = kept_everywhere.numel() / kept_everywhere.sum().clamp(min=1)
        masks = [torch.cat([batch.label != 255, valid & mask]) for mask in (unsure <= low, unsure >= high)]
        contrast = self._contrast(torch.cat([batch.label, label]), masks, students, teacher, step)
        return {
            "supervised": step.supervised(students[0], batch.label),
            "unlabelled": o.lambda_unlabelled * ratio * step.global_mean((values * kept).sum(), kept.sum()),
            "contrast": o.lambda_contrast * contrast,
        }

    def _mix(self, batch: Batch, step: Step) -> tuple[Tensor, Tensor]:
        """Mixed images and their pseudo-labels, 255 on padding; colours are not changed, as in the code."""
        from semiseg.views import cutmix

        weak, size = batch.unlabelled, batch.unlabelled.shape[-2:]
        pseudo = _terms.pseudo_labels(step.targets(step.teacher(weak).logits), batch)
        if step.draws.shared("mix")[0] < self.options.cutmix_probability:
            box = cutmix.mask(cutmix.half_boxes(step.draws, "cutmix", size), size, weak.device)
            weak, pseudo = cutmix.paste(weak, _terms.partner(weak, step), box), pseudo.mixed(pseudo.partner(step), box)
        return weak, pseudo.label.where(pseudo.valid, 255)

    def _contrast(self, label: Tensor, certainty: list[Tensor], students: list, teacher: Any, step: Step) -> Tensor:
        from semiseg.models import class_memory

        o, count = self.options, len(students[0].logits)
        maps = _terms.beside(step, partial(step.owned, "representation"), *(one.features for one in students))
        keys = step.teacher_owned("representation", teacher.features)
        size = keys.shape[-2:]
        # These are exactly the logits before up-sampling if the crop's size keeps corners in place.
        logits = F.interpolate(teacher.logits.float(), size, mode="bilinear", align_corners=True)
        label, *certainty = (_terms.nearest(one, size) for one in (label, *certainty))
        by_code, ranks = o.contrast == "code", (o.low_rank, o.high_rank)
        masks = class_memory.masks(label, certainty, logits.softmax(1), count, o.delta_p, ranks, by_code)
        keys, *masks = (_terms.everyone(one.movedim(1, 3), count, step).flatten(0, 2) for one in (keys, *masks))
        shares = _terms.shared_draws(step, "contrast", (logits.shape[1], o.anchors, 1 + o.negatives), keys.device)
        own = partial(_terms.own_vectors, torch.cat(maps), count, step)
        sums = class_memory.contrast(step.buffers, keys, masks, shares, own, o.temperature, by_code)
        return step.global_mean(*sums)
