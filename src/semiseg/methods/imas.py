r"""iMAS (Zhao et al., CVPR 2023): loss weight, strength of the strong view and CutMix adapt to each image's easiness.

$$
\begin{split}
e_i = {} & \tfrac12 \rho^t_i \operatorname{wIoU}(p^s_i, p^t_i;\, p^t_i) \\
         & + \tfrac12 \rho^s_i \operatorname{wIoU}(p^t_i, p^s_i;\, p^s_i)
\end{split}
$$
$$ L = L_x + \lambda_u \operatorname{mean}_i e_i l_i $$
$$
\begin{split}
l_i = \frac{1}{HW} \sum_j & \mathbb{1}[\text{conf}^t_{ij} \ge \tau] \\
                          & \cdot \operatorname{CE}(p_{ij}, \operatorname{argmax} p^t_{ij})
\end{split}
$$

$l_i$ is computed on two images, and both losses are averaged: on $e_i$ times the strong plus $1 - e_i$ times the weak
view, and on a CutMix of weak views. A batch has a CutMix with a probability of the mean of $e$; the easiest image is
then pasted into the hardest, and so on. Without it the first loss stands alone.

$\rho$ is the share of pixels with confidence $\tau$ or more. $\operatorname{wIoU}$ is the sum over classes of IoU times
the class's share in the prediction after the semicolon. The mean over $j$ counts ALL pixels; rejected pixels count as
0. A large $e$ means easy (the code calls it hardness). Padding counts neither in $\rho$ and $\operatorname{wIoU}$ nor
in the loss; in the code it does. In the code the teacher is a copy of the student in the first epoch; here it uses the
recipe's warm start, as in every method.

Reference: Zhao, Long, Pi, Wang, Zhou: Instance-specific and Model-adaptive Supervision for Semi-supervised Semantic
Segmentation. CVPR 2023.
Code: ZhenZHAO/iMAS at 96e57e0 (one module that it imports is missing).

Known to go wrong:
- In the code class 0 has no weight: background on VOC, but road on Cityscapes (`ignored_class`).
- An image that both networks predict as all background has easiness 0 and no loss.
- Thresholds and weights were chosen for each cell on the validation set. Several published figures are above the best
  published log, and best epochs are up to 3.4 points above last epochs.
- A user with one GPU and batch 8 reaches 70.4; the log has 77.4 (Cityscapes, 372 labels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from semiseg.base.lazy import F, torch
from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import Pseudo, beside, check_partners, pseudo_labels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class IMAS(Method):
    title = "iMAS"
    year = 2023
    fidelity = "official code compared"
    batch_norm = "joint"  # the code: labelled, weak and both strong images in one pass
    passes = Passes(1, 3, 2)
    reports = "teacher"
    needs_teacher = True

    class Options(PseudoLabelOptions):
        confidence: float = Field(0.95, ge=0, le=1)  # tau; logs: 0.95 in most VOC runs, 0.7 on Cityscapes
        lambda_unlabelled: float = Field(3.0, ge=0)  # logs: 3 in most VOC runs and on Cityscapes
        loss_weighting: bool = True  # off: every image weighs 1
        adaptive_intensity: bool = True  # off: the strong view at full strength
        adaptive_cutmix: bool = True  # off: in every batch, partners at random
        symmetric: bool = True  # off: the teacher's term only
        class_weights: bool = True  # off: plain mean over the classes that occur
        # The class without weight. `first` is the published code: class 0, background on VOC but road on Cityscapes;
        # `background` leaves a class out only if the data set has a background class
        ignored_class: Literal["background", "first", "none"] = "background"
        operations: int = Field(2, ge=1)  # number of operations drawn for the strong view; code

    tuned = STRONG_VIEWS | {
        "confidence": Between(0.5, 0.98),
        "lambda_unlabelled": Between(0.5, 6.0, log=True),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        check_partners(setting.batch)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views
        from semiseg.views import cutmix

        o, weak, size = self.options, batch.unlabelled, batch.unlabelled.shape[-2:]
        pseudo = pseudo_labels(step.targets(step.teacher(weak).logits), batch)
        easiness = self.easiness(pseudo_labels(step.student_eval(weak).logits, batch), pseudo)

        strong = views.rand_augment(weak, step.draws, "strong", o.operations, views.IMAS, self.setting.strength)
        if o.adaptive_intensity:
            e = easiness[:, None, None, None]
            strong = e * strong + (1 - e) * weak

        # The choice is made on the device: without CutMix the images are the weak views, and the loss is left out.
        everyone = step.gather(easiness)
        triggered = (
            everyone.mean() > float(step.draws.shared("trigger")[0]) if o.adaptive_cutmix else everyone.mean() >= 0
        )
        partners = self._partners(everyone, step)[step.rows]
        box = cutmix.mask(cutmix.imas_boxes(step.draws, "cutmix", size), size, weak.device) & triggered
        mixed = cutmix.paste(weak, step.gather(weak)[partners], box)
        mixed_pseudo = pseudo.mixed(Pseudo(*(step.gather(x)[partners] for x in pseudo)), box)

        # The weak images only contribute to the statistics of batch norm.
        labelled, _, cut, intense = beside(step, step.student, batch.image, weak, mixed, strong)
        weights = easiness if o.loss_weighting else torch.ones_like(easiness)
        intensity_loss = self._weighted(intense.logits, pseudo, weights, step)
        cutmix_loss = self._weighted(cut.logits, mixed_pseudo, weights, step)
        unlabelled = torch.where(triggered, 0.5 * (intensity_loss + cutmix_loss), intensity_loss)
        return {
            "supervised": step.supervised(labelled, batch.label),
            "unlabelled": o.lambda_unlabelled * unlabelled,
        }

    def easiness(self, student: Pseudo, teacher: Pseudo) -> Tensor:
        """e_i in [0, 1] of all images, from their tables of counts [B,C,C]."""
        o, classes, valid = self.options, self.setting.classes, teacher.valid.flatten(1)
        cell = (student.label * classes + teacher.label).flatten(1)
        table = valid.float().new_zeros(len(cell), classes**2).scatter_add_(1, cell, valid.float())
        table = table.view(-1, classes, classes)
        both, of_student, of_teacher = table.diagonal(dim1=1, dim2=2), table.sum(2), table.sum(1)
        union = of_student + of_teacher - both
        iou = both / union.clamp(min=1)

        def term(network: Pseudo, pixels: Tensor) -> Tensor:
            confident = (network.confidence >= o.confidence).flatten(1) & valid
            share = confident.sum(1) / valid.sum(1).clamp(min=1)
            if not o.class_weights:
                return share * iou.sum(1) / (union > 0).sum(1).clamp(min=1)
            weights = self._counted(pixels)
            # An image with only the ignored class has no weights: its term is 0, as in the code.
            return share * (weights * iou).sum(1) / weights.sum(1).clamp(min=1)

        easy_for_teacher = term(teacher, of_teacher)
        return 0.5 * (easy_for_teacher + term(student, of_student)) if o.symmetric else easy_for_teacher

    def _counted(self, pixels: Tensor) -> Tensor:
        """Pixels of each class [B,C], the ignored class set to 0."""
        ignored = {"background": self.setting.background, "first": 0, "none": None}[self.options.ignored_class]
        return pixels if ignored is None else pixels * (torch.arange(pixels.shape[1], device=pixels.device) != ignored)

    def _partners(self, everyone: Tensor, step: Step) -> Tensor:
        """The donor of each image of all processes: the easiest image is the donor of the hardest, and so on."""
        from semiseg.feed.transfer import to_device

        if not self.options.adaptive_cutmix:
            return to_device(step.draws.permutation("partners", len(everyone)), everyone.device)
        order = everyone.argsort(stable=True)
        return torch.empty_like(order).scatter_(0, order, order.flip(0))

    def _weighted(self, logits: Tensor, pseudo: Pseudo, weights: Tensor, step: Step) -> Tensor:
        """L_u of one branch; the weight is that of the receiving image."""
        values = F.cross_entropy(logits.float(), pseudo.label, reduction="none")
        chosen = pseudo.valid & (pseudo.confidence >= self.options.confidence)
        of_images = (values * chosen).mean((1, 2)) * weights
        return step.global_mean(of_images.sum(), of_images.new_full((), len(of_images)))
