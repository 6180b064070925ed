r"""CutMix-Seg (French et al., BMVC 2020): predictions for mixed images match the teacher's mixed predictions.

$$ L = L_x + \lambda \, r \, \frac{1}{BHW} \sum_j \sum_c (p^s_{jc} - p^t_{jc})^2 $$

$r$ is the share of pixels with $\max_c p^t_{jc} \ge \tau$: ONE number for the batch, as in the authors' code. It scales
the loss and masks no pixel. The mean runs over all pixels; padding counts as 0. The authors' teacher has no
warm start (`recipe.ema.warm_start: false`) and predicts in training mode. Here it has the recipe's warm start, as in
every method, and predicts in evaluation mode.

Reference: French, Laine, Aila, Mackiewicz, Finlayson: Semi-supervised semantic segmentation needs strong, varied
perturbations. BMVC 2020.
Code: Britefury/cutmix-semisup-seg at af6183a.

Known to go wrong:
- Labelled images have a separate forward pass, so with few labels the statistics of batch norm come from few images.
  `recipe.batch_norm: joint` shows how much this matters.
- The authors freeze batch norm. Re-runs with DeepLabV3+ are several points above the paper's figures with DeepLab-v2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from semiseg.base.lazy import torch
from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import beside, check_partners, mean_over_pixels, partner, squared_difference, valid_pixels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class CutMixSeg(Method):
    title = "CutMix-Seg"
    year = 2020
    fidelity = "official code compared"
    batch_norm = "separate"  # the code
    passes = Passes(1, 1, 1)
    reports = "teacher"
    needs_teacher = True

    class Options(PseudoLabelOptions):
        confidence: float = Field(0.97, ge=0, le=1)  # paper and code
        lambda_consistency: float = Field(1.0, ge=0)  # paper and code
        area: float = Field(0.5, gt=0, lt=1)  # share of the image that the box covers; paper and code
        colour: bool = True  # colour jitter of the student's view (code: --aug_strong_colour)

    tuned = STRONG_VIEWS | {
        "confidence": Between(0.5, 0.98),
        "lambda_consistency": Between(0.3, 10.0, log=True),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        check_partners(setting.batch)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views
        from semiseg.views import cutmix

        o, weak, valid = self.options, batch.unlabelled, valid_pixels(batch)
        boxes = cutmix.fixed_area_boxes(step.draws, "cutmix", weak.shape[-2:], area=o.area)
        box = cutmix.mask(boxes, weak.shape[-2:], weak.device)
        teacher = step.targets(step.teacher(weak).logits).detach().float().softmax(1)
        teacher = cutmix.paste(teacher, partner(teacher, step), box)
        valid = torch.where(box, partner(valid, step), valid)
        confident = (teacher.amax(1) >= o.confidence).float()
        share = step.gather(confident.mean((1, 2))).mean()

        strong = weak
        if o.colour:
            strong = views.photometric(
                weak, step.draws, "strong", jitter=(0.4, 0.4, 0.4, 0.1), p_blur=0.0, strength=self.setting.strength
            )
        mixed = cutmix.paste(strong, partner(strong, step), box)
        labelled, student = beside(step, step.student, batch.image, mixed)
        difference = squared_difference(student.logits.float().softmax(1), teacher)
        return {
            "supervised": step.supervised(labelled, batch.label),
            "consistency": o.lambda_consistency * share * mean_over_pixels(difference * valid, step),
        }
