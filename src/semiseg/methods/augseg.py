r"""AugSeg (Zhao et al., CVPR 2023, "Augmentation Matters"): random intensities, and CutMix also from labelled images.

$$
\begin{split}
L = {} & L_x + \lambda_u \, \frac{1}{BHW} \\
       & \cdot \sum_j \mathbb{1}[\text{conf}_j \ge \tau] \operatorname{CE}(p_j, \hat y_j)
\end{split}
$$

The mean runs over ALL pixels of the mixed strong views; $\hat y_j$ is the teacher's label. The confidence of image $i$
is

$$ c_i = \operatorname{mean}_j \max_k p^t_{jk} \left( 1 - \frac{H(p^t_j)}{\log K} \right) $$

Images are mixed by CutMix. With probability $1 - c_i$ the image $i$ first gets a box of a labelled image, and this copy
is pasted into another image. In the code the teacher is a copy of the student in the first epoch; here it uses the
recipe's warm start, as in every method.

Reference: Zhao, Yang, Long, Pi, Zhou, Wang: Augmentation Matters: A Simple-yet-Effective Approach to Semi-supervised
Semantic Segmentation. CVPR 2023.
Code: ZhenZHAO/AugSeg at 7ead870.

Known to go wrong:
- The published figures are best epochs: with 92 labels the best is 71.09 and the last 65.05. A user reports 63.5.
- Labelled pixels are pasted where predictions are unsure; with few labels they come from the same few images.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from semiseg.base.lazy import F
from semiseg.methods._ranges import STRONG_VIEWS, Between, OneOf
from semiseg.methods._terms import Pseudo, beside, check_partners, mean_over_pixels, pseudo_labels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class AugSeg(Method):
    title = "AugSeg"
    year = 2023
    fidelity = "official code compared"
    batch_norm = "joint"  # the code
    passes = Passes(1, 1, 1)
    reports = "teacher"
    needs_teacher = True

    class Options(PseudoLabelOptions):
        confidence: float = Field(0.95, ge=0, le=1)  # tau; configs: 0.95 on VOC, none on Cityscapes
        lambda_unlabelled: float = Field(1.0, ge=0)  # configs
        operations: int = Field(3, ge=1)  # paper: between 1 and this many operations per image
        adaptive_cutmix: bool = True  # off: no labelled pixels

    tuned = STRONG_VIEWS | {
        "confidence": Between(0.5, 0.98),
        "lambda_unlabelled": Between(0.3, 3.0, log=True),
        "operations": OneOf((2, 3, 4)),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        check_partners(setting.batch)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views

        o, weak = self.options, batch.unlabelled
        logits = step.targets(step.teacher(weak).logits)
        pseudo = pseudo_labels(logits, batch)
        strong = views.rand_augment(weak, step.draws, "strong", (1, o.operations), views.AUGSEG, self.setting.strength)
        mixed, pseudo = self._mix(batch, strong, pseudo, confidence_of_images(logits), step)

        labelled, unlabelled = beside(step, step.student, batch.image, mixed)
        chosen = pseudo.valid & (pseudo.confidence >= o.confidence)
        values = F.cross_entropy(unlabelled.logits.float(), pseudo.label, reduction="none")
        return {
            "supervised": step.supervised(labelled, batch.label),
            "unlabelled": o.lambda_unlabelled * mean_over_pixels(values * chosen, step),
        }

    def _mix(self, batch: Batch, strong: Tensor, pseudo: Pseudo, confidence: Tensor, step: Step):
        """Mix the batch; both paste operations use the same permutation of the batch, as in the code."""
        from semiseg.feed.transfer import to_device
        from semiseg.views import cutmix

        size, draws = strong.shape[-2:], step.draws
        count = len(step.gather(confidence))
        partners = to_device(draws.permutation("partners", count), strong.device)[step.rows]
        donors, donor_pseudo = strong, pseudo
        if self.options.adaptive_cutmix:
            images, labels = step.gather(batch.image), step.gather(batch.label)
            chosen = partners % len(images)
            unsure = to_device(draws.uniform("labelled")[:, 0], strong.device) > confidence
            boxes = cutmix.augseg_boxes(draws, "labelled_box", size, beta=(8, 2))
            box = cutmix.mask(boxes, size, strong.device) & unsure[:, None, None]
            known = labels[chosen] != 255
            truth = Pseudo(labels[chosen].where(known, 0), known.float(), known)
            donors, donor_pseudo = cutmix.paste(strong, images[chosen], box), pseudo.mixed(truth, box)
        box = cutmix.mask(cutmix.augseg_boxes(draws, "unlabelled_box", size), size, strong.device)
        given = Pseudo(*(step.gather(x)[partners] for x in donor_pseudo))
        return cutmix.paste(strong, step.gather(donors)[partners], box), pseudo.mixed(given, box)


def confidence_of_images(logits: Tensor) -> Tensor:
    """c_i in [0, 1]."""
    logs = logits.detach().float().log_softmax(1)
    certain = 1 + (logs.exp() * logs).sum(1) / math.log(logits.shape[1])
    return (certain * logs.amax(1).exp()).mean((1, 2))
