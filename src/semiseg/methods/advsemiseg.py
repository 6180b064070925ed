r"""AdvSemiSeg (Hung et al., BMVC 2018): a discriminator tells ground truth from predictions pixel by pixel.

$$ L_{\text{seg}} = L_{\text{ce}} + \lambda_{\text{adv}} L_{\text{adv}} + \lambda_{\text{semi}} L_{\text{semi}} $$
$$ L_{\text{adv}} = - \operatorname{mean}_j \log D(P)_j $$
$$ L_{\text{semi}} = - \operatorname{mean}_{j \in S} \log \max_c P_{jc} $$
$$
\begin{split}
L_D = {} & \tfrac12 \operatorname{mean}_j [- \log (1 - D(P)_j)] \\
         & + \tfrac12 \operatorname{mean}_j [- \log D(\operatorname{onehot} Y)_j]
\end{split}
$$

$S$ are the pixels with $D(P)_j > T_{\text{semi}}$. The halves in $L_D$ are those of the code. The paper sums over
pixels. Here, as in its code, these are means, which its weights fit. $P$ are the predicted probabilities, $Y$ the
labels. The option $\lambda_{\text{adv}}$ has one value for labelled and one for unlabelled images. Padding of
unlabelled images has no loss; in the code it takes part. The variant `adv` has $\lambda_{\text{semi}} = 0$, which is
how the code switches $L_{\text{semi}}$ off. The paper's rows "+L_adv" may use labelled images only;
`lambda_adv_unlabelled: 0` does that (an arm in the suite `paper_advsemiseg`).

Reference: Hung, Tsai, Liou, Lin, Yang: Adversarial Learning for Semi-Supervised Semantic Segmentation. BMVC 2018.
Code: hfslyc/AdvSemiSeg at 841d546.

Known to go wrong:
- The published figures start from COCO weights (according to the code; the text says ImageNet). Whether they hold with
  ImageNet weights is not known. They are not comparable with figures of methods that start from ImageNet weights.
- The discriminator becomes too strong; its loss should stay between 0.2 and 0.5.
- If no pixel passes $T_{\text{semi}}$, $L_{\text{semi}}$ is 0. The diagnostics of a run show the share of pixels that
  pass.
- The code for Cityscapes was never published.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from semiseg.base.errors import UserError
from semiseg.base.lazy import F, torch
from semiseg.methods._ranges import EVERY_METHOD, Between, OneOf
from semiseg.methods._terms import beside, valid_pixels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor, nn


class AdvSemiSeg(Method):
    title = "AdvSemiSeg"
    year = 2018
    fidelity = "official code compared"
    batch_norm = "separate"  # code: a separate pass for unlabelled images
    passes = Passes(1, 1)
    variant_names = {"adv": {"lambda_semi": 0}, "adv_semi": {}}

    class Options(PseudoLabelOptions):
        lambda_adv_labelled: float = Field(0.01, ge=0)  # paper; the default of the script is 0.1
        lambda_adv_unlabelled: float = Field(0.001, ge=0)  # paper (BMVC version) and code
        lambda_semi: float = Field(0.1, ge=0)  # paper
        t_semi: float = Field(0.2, ge=0, le=1)  # paper; 1 selects nothing, 0 everything
        # Paper: from iteration 5000 of 20,000; a share of the training, so that it holds for every length
        semi_start: float = Field(0.25, ge=0)
        discriminator: Literal["fcn", "non_fcn"] = "fcn"  # non_fcn is the paper's ablation
        width_d: int = Field(64, ge=1)  # paper: channels 64-128-256-512-1
        # D also sees unlabelled predictions as fake: text no, code yes (`D_remain`)
        discriminate_unlabelled: bool = False
        # D sees (1 - s) onehot Y + s / classes as real; otherwise softness alone reveals a prediction. Free choice
        smooth_truth: float = Field(0.0, ge=0, lt=1)
        # No L_adv on unlabelled images in an iteration whose mask is empty: text no, code yes
        drop_adv_with_empty_mask: bool = False
        lr_d: float = Field(1e-4, gt=0)  # paper: Adam
        betas_d: tuple[float, float] = (0.9, 0.999)  # text; code (0.9, 0.99)
        power_d: float = Field(0.9, ge=0)  # paper: polynomial decay, as for the segmentation network

    tuned = EVERY_METHOD | {
        "lambda_adv_labelled": Between(0.001, 0.1, log=True),
        "lambda_adv_unlabelled": Between(1e-4, 0.01, log=True),
        "lambda_semi": Between(0.03, 0.3, log=True),
        "t_semi": Between(0.05, 0.4),
        "semi_start": Between(0.0, 0.5),
        "width_d": OneOf((8, 16, 32)),
        "lr_d": Between(2e-5, 1e-3, log=True),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        if options.semi_start > 1:
            start = math.ceil(options.semi_start * setting.iterations)
            raise UserError(
                f"semi_start: {options.semi_start:g} is a share of the training, so L_semi would start at iteration "
                f"{start} of {setting.iterations}; give at most 1"
            )

    @classmethod
    def needs_unlabelled(cls, options) -> bool:
        return options.lambda_semi > 0  # L_adv is also defined on labelled predictions alone

    def auxiliary(self) -> nn.Module:
        from semiseg.models.parts import discriminators

        return discriminators.build(self.options.discriminator, self.setting.classes, self.options.width_d)

    def confident(self, logits: Tensor, auxiliary=None, buffers=None) -> Tensor:
        return self._trusted(auxiliary(logits.float().softmax(1)))

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        known, logs = batch.label != 255, None
        if batch.unlabelled is None:
            labelled = step.student(batch.image)
            maps = [labelled.logits.float().softmax(1)]
        else:
            labelled, unlabelled = beside(step, step.student, batch.image, batch.unlabelled)
            logs = unlabelled.logits.float().log_softmax(1)
            maps = [labelled.logits.float().softmax(1), logs.exp()]
        self._fake = [(maps[0].detach(), known)]
        # D has no batch normalisation, so one call can process both.
        verdicts = step.auxiliary(torch.cat(maps)).split([len(one) for one in maps])
        losses = {
            "supervised": step.supervised(labelled, batch.label),
            "adversarial": self.options.lambda_adv_labelled * _binary(verdicts[0], 1, known, step),
        }
        return losses if logs is None else losses | self._unlabelled(logs, maps[1], verdicts[1], batch, step)

    def _unlabelled(self, logs: Tensor, maps: Tensor, verdict: Tensor, batch: Batch, step: Step) -> dict[str, Tensor]:
        o, valid = self.options, valid_pixels(batch)
        self._fake += [(maps.detach(), valid)] * o.discriminate_unlabelled
        adversarial = o.lambda_adv_unlabelled * _binary(verdict, 1, valid, step)
        if o.lambda_semi == 0 or step.iteration < o.semi_start * step.iterations:
            return {"adversarial_unlabelled": adversarial, "semi": torch.zeros_like(adversarial)}

        # The mask and the one-hot argmax are constants for the gradient.
        label = step.targets(logs.detach()).max(1).indices  # argmax takes eight times as long on a CPU
        chosen = self._trusted(verdict.detach()) & valid
        values = F.nll_loss(logs, label, reduction="none")
        # Mean over the selected pixels, so that L_semi does not depend on their number; 0 if the mask is empty.
        semi = step.global_mean((values * chosen).sum(), chosen.sum())
        if o.drop_adv_with_empty_mask:
            adversarial = adversarial * step.gather(chosen.flatten(1).any(1)).any()
        return {"adversarial_unlabelled": adversarial, "semi": o.lambda_semi * semi}

    def _trusted(self, verdict: Tensor) -> Tensor:
        """D(P) > T_semi, compared as logits: sigmoid saturates, and T = 1 must select nothing and T = 0 everything."""
        t = self.options.t_semi
        threshold = math.log(t / (1 - t)) if 0 < t < 1 else math.copysign(math.inf, t - 0.5)
        return verdict.squeeze(1).float() > threshold

    def auxiliary_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """L_D: the predictions of `losses` are fake, one-hot ground truth is real.

        Ignored pixels count in neither term.
        """
        from semiseg.models.criteria import one_hot

        maps, masks = zip(*self._fake, strict=True)
        del self._fake
        real = one_hot(batch.label, self.setting.classes)
        if smooth := self.options.smooth_truth:
            real = (1 - smooth) * real + smooth / self.setting.classes
        counted = torch.cat(masks)
        verdicts = step.auxiliary(torch.cat([*maps, real])).split([len(counted), len(real)])
        return {
            "discriminator_fake": 0.5 * _binary(verdicts[0], 0, counted, step),
            "discriminator_real": 0.5 * _binary(verdicts[1], 1, batch.label != 255, step),
        }


def _binary(verdict: Tensor, truth: int, counted: Tensor, step: Step) -> Tensor:
    """Binary cross-entropy of D's logits [B,1,H,W] against a constant target, averaged over the counted pixels."""
    verdict = verdict.squeeze(1).float()
    values = F.softplus(-verdict if truth else verdict)
    return step.global_mean((values * counted).sum(), counted.sum())
