r"""CPS, cross pseudo supervision (Chen et al., CVPR 2021): two networks teach each other their most likely class.

$$
\begin{split}
L = {} & L_x(f_1) + L_x(f_2) \\
       & + \lambda \operatorname{CE}(f_1(\text{mix}), \text{mix}(\operatorname{argmax} f_2)) \\
       & + \lambda \operatorname{CE}(f_2(\text{mix}), \text{mix}(\operatorname{argmax} f_1))
\end{split}
$$

$\text{mix}$ is CutMix. Without it the two cross terms run over labelled and unlabelled images as they are.
Padding of unlabelled images has no loss; in the code it takes part. The engine and the evaluation differ from the code
in other things. The code warms up with k/w, not (k + 1)/w, and its decay starts at iteration 0, not after the warm-up.
Its sliding windows sum logits, where `border: shift` sums probabilities, and it pads images smaller than the window.

Reference: Chen, Yuan, Zeng, Wang: Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision. CVPR 2021.
Code: charlesCXK/TorchSemiSeg at 5e0c29c.

Known to go wrong:
- Several users do not reach the published Cityscapes figures. U2PL's re-run is 3 to 5 points lower, and later papers
  cite that one as well.
- Two networks are trained, which doubles time and memory; the first of them is reported.
- There is no threshold: early wrong labels count as much as late right ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from semiseg.base.lazy import F, torch
from semiseg.methods._ranges import EVERY_METHOD, Between
from semiseg.methods._terms import beside, check_partners, partner, valid_pixels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor

Share = Annotated[float, Field(gt=0, le=1)]


class CPS(Method):
    title = "CPS"
    year = 2021
    fidelity = "official code compared"
    batch_norm = "separate"  # the code
    passes = Passes(1, 1, 1)  # of each of the two networks
    networks = 2

    class Options(PseudoLabelOptions):
        cutmix: bool = True
        # Code, VOC: 1 with CutMix, 1.5 without; Cityscapes: 5 and 6
        lambda_cps: float = Field(1.0, ge=0)
        boxes: int = Field(3, ge=1)  # code: cutmix_boxmask_n_boxes
        # Code: cutmix_mask_prop_range, of the area of all boxes together
        proportion: tuple[Share, Share] = (0.25, 0.5)

        @field_validator("proportion")
        @classmethod
        def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
            if value[0] > value[1]:
                raise ValueError("expected [low, high] with low <= high")
            return value

    tuned = EVERY_METHOD | {
        "lambda_cps": Between(0.3, 6.0, log=True),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        if options.cutmix:
            check_partners(setting.batch)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        networks = {"first": step.student, "second": step.second}
        return self._mixed(batch, step, networks) if self.options.cutmix else self._plain(batch, step, networks)

    def _mixed(self, batch: Batch, step: Step, networks: dict) -> dict[str, Tensor]:
        from semiseg.views import cutmix

        o, weak, valid = self.options, batch.unlabelled, valid_pixels(batch)
        boxes = cutmix.cps_boxes(step.draws, "cutmix", weak.shape[-2:], count=o.boxes, proportion=o.proportion)
        box = cutmix.mask(boxes, weak.shape[-2:], weak.device)
        mixed = cutmix.paste(weak, partner(weak, step), box)
        valid = torch.where(box, partner(valid, step), valid)
        labels = {}
        with torch.no_grad():  # in training mode, as the code has it: batch norm uses the batch's statistics
            for name, network in networks.items():
                label = step.targets(network(weak).logits).max(1).indices
                labels[name] = torch.where(box, partner(label, step), label)
        both = {name: beside(step, network, batch.image, mixed) for name, network in networks.items()}
        outputs = {name: labelled for name, (labelled, _) in both.items()}
        cross = {name: unlabelled.logits for name, (_, unlabelled) in both.items()}
        return self._total(batch, step, outputs, cross, labels, valid)

    def _plain(self, batch: Batch, step: Step, networks: dict) -> dict[str, Tensor]:
        outputs, cross, labels = {}, {}, {}
        for name, network in networks.items():
            outputs[name], unlabelled = beside(step, network, batch.image, batch.unlabelled)
            logits = unlabelled.logits
            cross[name] = torch.cat([outputs[name].logits, logits])
            targets = (outputs[name].logits, step.targets(logits.detach()))
            labels[name] = torch.cat([target.max(1).indices for target in targets])
        valid = torch.cat([torch.ones_like(batch.label, dtype=torch.bool), valid_pixels(batch)])
        return self._total(batch, step, outputs, cross, labels, valid)

    def _total(self, batch: Batch, step: Step, outputs: dict, cross: dict, labels: dict, valid: Tensor) -> dict:
        losses = {f"supervised_{name}": step.supervised(output, batch.label) for name, output in outputs.items()}
        for name, other in (("first", "second"), ("second", "first")):
            values = F.cross_entropy(cross[name].float(), labels[other], reduction="none")
            losses[f"cross_{name}"] = self.options.lambda_cps * step.global_mean((values * valid).sum(), valid.sum())
        return losses
