r"""UniMatch (Yang et al., CVPR 2023): FixMatch with two strong views and a view whose features are perturbed.

$$ L = \tfrac12 (L_x + 0.25 L_{s1} + 0.25 L_{s2} + 0.5 L_{\text{fp}}) $$

Each unlabelled term is the FixMatch loss against the weak view: $L_{s1}$ and $L_{s2}$ of the two strong views,
$L_{\text{fp}}$ of the weak view with perturbed features.

Reference: Yang, Qi, Feng, Zhang, Shi: Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation.
CVPR 2023.
Code: LiheYoung/UniMatch at 0324f3d.

Known to go wrong:
- With fewer GPUs than the authors' four the batch is smaller, and the result worse; here the batch is a global one.
- The authors quote 0.6 points as the range of repeated runs at VOC's classic lists, and their logs span more at 183
  labels (last epoch 76.70 ± 1.22).
- In the code the learning rate is one iteration behind: the first two iterations share the base rate.
- Figures of the arXiv version and of the printed one differ (threshold and output stride on Cityscapes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from semiseg.base.lazy import torch
from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import channel_dropout, check_partners, confident_cross_entropy, partner, pseudo_labels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class UniMatch(Method):
    title = "UniMatch"
    year = 2023
    fidelity = "official code compared"
    batch_norm = "joint"  # the code: labelled and weak images in one pass
    passes = Passes(1, 3.3, 1)

    class Options(PseudoLabelOptions):
        confidence: float = Field(0.95, ge=0, le=1)  # paper: 0.95 on VOC, 0 on Cityscapes
        lambda_strong: float = Field(0.25, ge=0)  # of each of the two strong views; code
        lambda_feature: float = Field(0.5, ge=0)  # code
        dropout: float = Field(0.5, ge=0, lt=1)  # channels dropped from the encoder's features; paper
        cutmix_probability: float = Field(0.5, ge=0, le=1)  # code

    tuned = STRONG_VIEWS | {
        "confidence": Between(0.5, 0.98),
        "lambda_strong": Between(0.1, 1.0, log=True),
        "lambda_feature": Between(0.1, 1.0, log=True),
        "cutmix_probability": Between(0.0, 1.0),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        if options.cutmix_probability > 0:
            check_partners(setting.batch)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views
        from semiseg.views import cutmix

        o, weak, size = self.options, batch.unlabelled, batch.unlabelled.shape[-2:]
        # The pasted pixels are labelled by a forward pass of their own, in evaluation mode: so does the official code.
        donor = pseudo_labels(step.targets(step.student_eval(weak).logits), batch).partner(step)
        views_and_boxes = []
        for k in (1, 2):
            strong = views.photometric(weak, step.draws, f"strong{k}", strength=self.setting.strength)
            boxes = cutmix.unimatch_boxes(step.draws, f"cutmix{k}", size, p=o.cutmix_probability)
            box = cutmix.mask(boxes, size, weak.device)
            views_and_boxes.append((cutmix.paste(strong, partner(strong, step), box), box))

        # One pass of the decoder over clean and perturbed features. The official code perturbs labelled features too
        # and throws the result away; only batch norm would notice.
        ahead = len(batch.image) if step.joint else 0
        features = step.student.encode(torch.cat([batch.image, weak]) if step.joint else weak)
        perturbed = channel_dropout([feature[ahead:] for feature in features], o.dropout, step)
        both = [torch.cat(pair) for pair in zip(features, perturbed, strict=True)]
        labelled, own, feature_view = step.student.decode(both, size).split([ahead, len(weak), len(weak)])
        if not step.joint:
            labelled = step.student(batch.image)
        pseudo = pseudo_labels(step.targets(own.logits.detach()), batch)

        strong = step.student(torch.cat([view for view, _ in views_and_boxes])).split([len(weak)] * 2)
        losses = {"supervised": 0.5 * step.supervised(labelled, batch.label)}
        for k, (output, (_, box)) in enumerate(zip(strong, views_and_boxes, strict=True), 1):
            loss = confident_cross_entropy(output.logits, pseudo.mixed(donor, box), o.confidence, step)
            losses[f"strong{k}"] = 0.5 * o.lambda_strong * loss
        loss = confident_cross_entropy(feature_view.logits, pseudo, o.confidence, step)
        return losses | {"feature": 0.5 * o.lambda_feature * loss}
