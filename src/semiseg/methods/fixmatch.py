r"""FixMatch for segmentation, as re-run by UniMatch (Yang et al., CVPR 2023): confident predictions on the weak view
are labels for the same network on the strong view, with CutMix.

$$ L = \tfrac12 (L_x + L_u) $$
$$
\begin{split}
L_u = \frac1N \sum_j & \mathbb{1}[\max p_w(j) \ge \tau] \\
                     & \cdot \operatorname{CE}(p_s(j), \operatorname{argmax} p_w(j))
\end{split}
$$

$p_w$ and $p_s$ are predictions for the weak and the strong view. $N$ counts all valid pixels, also those below $\tau$.

Reference: Sohn et al.: FixMatch. NeurIPS 2020; for segmentation as re-implemented with UniMatch (CVPR 2023).
Code: LiheYoung/UniMatch at 0324f3d (fixmatch.py).

Known to go wrong:
- With a threshold of 0.95 and few labels, almost no pixel may be selected for many iterations, and of rare classes none
  at all.
- Published figures are those of the best epoch on the reported set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import beside, check_partners, confident_cross_entropy, partner, pseudo_labels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class FixMatch(Method):
    title = "FixMatch"
    year = 2023
    fidelity = "official code compared"
    batch_norm = "joint"  # UniMatch's code: labelled and weak images in one pass
    passes = Passes(1, 2, 1)

    class Options(PseudoLabelOptions):
        confidence: float = Field(0.95, ge=0, le=1)  # tau; UniMatch: 0.95 on VOC, 0 on Cityscapes
        lambda_unlabelled: float = Field(1.0, ge=0)  # UniMatch
        cutmix_probability: float = Field(0.5, ge=0, le=1)  # UniMatch's code

    tuned = STRONG_VIEWS | {
        "confidence": Between(0.5, 0.98),
        "lambda_unlabelled": Between(0.3, 3.0, log=True),
        "cutmix_probability": Between(0.0, 1.0),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        if options.cutmix_probability > 0:
            check_partners(setting.batch)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views
        from semiseg.views import cutmix

        o, weak = self.options, batch.unlabelled
        # A separate pass in evaluation mode, before this step's BN update, labels the pasted pixels, as in the official
        # code.
        donor = pseudo_labels(step.targets(step.student_eval(weak).logits), batch).partner(step)
        strong = views.photometric(weak, step.draws, "strong", strength=self.setting.strength)
        boxes = cutmix.unimatch_boxes(step.draws, "cutmix", weak.shape[-2:], p=o.cutmix_probability)
        box = cutmix.mask(boxes, weak.shape[-2:], weak.device)
        mixed = cutmix.paste(strong, partner(strong, step), box)

        labelled, own = beside(step, step.student, batch.image, weak)
        pseudo = pseudo_labels(step.targets(own.logits.detach()), batch).mixed(donor, box)
        unlabelled = confident_cross_entropy(step.student(mixed).logits, pseudo, o.confidence, step)
        return {
            "supervised": 0.5 * step.supervised(labelled, batch.label),
            "strong": 0.5 * o.lambda_unlabelled * unlabelled,
        }
