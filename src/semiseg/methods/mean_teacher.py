r"""Mean Teacher (Tarvainen & Valpola, NeurIPS 2017) for segmentation: a student under noise matches its average.

$$ L = L_x + w(t) \, \lambda \, \frac1N \sum_j \sum_c (p^s_{jc} - p^t_{jc})^2 $$

The weight is $w(t) = e^{-5 (1 - t)^2}$ during the ramp-up, and 1 after it.

Reference: Tarvainen, Valpola: Mean teachers are better role models. NeurIPS 2017.

Known to go wrong:
- The paper classifies images; all published figures for segmentation come from other authors' versions.
- Without a ramp-up the untrained teacher pulls the student towards uniform predictions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import beside, check_ramp_up, gaussian_ramp_up, squared_difference, valid_pixels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class MeanTeacher(Method):
    title = "Mean Teacher"
    year = 2017
    fidelity = "paper's formulas"
    batch_norm = "joint"  # code (for classification): one batch with both
    passes = Passes(1, 1, 1)
    reports = "teacher"
    needs_teacher = True

    class Options(PseudoLabelOptions):
        # free choice: the paper classifies images; French et al. use 1 for segmentation, with a sum over classes
        lambda_consistency: float = Field(1.0, ge=0)
        # free choice: a share of the training; the paper ramps up over about the first quarter of its schedule
        ramp_up: float = Field(0.25, ge=0)

    tuned = STRONG_VIEWS | {
        "lambda_consistency": Between(0.3, 30.0, log=True),
        "ramp_up": Between(0.0, 0.5),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        check_ramp_up(options.ramp_up, setting.iterations)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views

        o, weak, valid = self.options, batch.unlabelled, valid_pixels(batch)
        teacher = step.targets(step.teacher(weak).logits).detach().float().softmax(1)
        # free choice: the colour part of the strong view replaces the paper's noise on the student's input
        strong = views.photometric(weak, step.draws, "strong", strength=self.setting.strength)
        labelled, student = beside(step, step.student, batch.image, strong)
        difference = squared_difference(student.logits.float().softmax(1), teacher)
        consistency = step.global_mean((difference * valid).sum(), valid.sum())
        return {
            "supervised": step.supervised(labelled, batch.label),
            "consistency": gaussian_ramp_up(step, o.ramp_up) * o.lambda_consistency * consistency,
        }
