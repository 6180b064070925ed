r"""UniMatch V2 (Yang et al., TPAMI 2025): an EMA teacher labels two strong views with complementary dropout.

$$ L = \tfrac12 \left( L_x + \tfrac12 (L_{s1} + L_{s2}) \right) $$

Each unlabelled term is the FixMatch loss against the EMA teacher's weak view. For one half of the images
$m \sim \operatorname{Bernoulli}(\tfrac12)$ is drawn for each channel of the encoder's features $f$: view 1 keeps
$2 m f$ and view 2 keeps $2 (1 - m) f$. The other half keeps all channels.

The code drops channels of exactly half of the images of each GPU; here it is half of the global batch. All four
maps of a vision transformer use the same $m$, as in the code. The paper has no encoder whose maps differ in channels
(ResNet); here each number of channels gets a separate $m$ (our reading). The donor of CutMix is the previous image of
the batch; in the code it is the image at the mirrored position.

The code has two learning rates, one for the encoder and a larger one for the head, and no decay from layer to layer.
Here it is the same: the recipe's `lr`, and `lr` times `head_lr_multiplier`.

Reference: Yang, Zhao, Zhao: UniMatch V2: Pushing the Limit of Semi-Supervised Semantic Segmentation. TPAMI 2025.
Code: LiheYoung/UniMatch-V2 at f6afb4d.

Known to go wrong:
- Most of the gain over older tables comes from the encoder: against FixMatch with the same DINOv2-B the authors' logs
  show +2.5 points at 92 labels of VOC and 0.1 to 0.7 with more labels (single runs, best checkpoint of the teacher).
- Runs vary: at 92 labels with DINOv2-S a user reached more than 83, while 79.1 is published; the authors call this
  fluctuation normal (issue 9).
- A user's own, imbalanced data ended with a foreground IoU of 0 (issue 18).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from semiseg.base.lazy import torch
from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import check_partners, confident_cross_entropy, partner, pseudo_labels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class UniMatchV2(Method):
    title = "UniMatch V2"
    year = 2025
    fidelity = "official code compared"
    batch_norm = "separate"  # code; a vision transformer has no batch norm
    passes = Passes(1, 2, 1)
    reports = "teacher"
    needs_teacher = True

    class Options(PseudoLabelOptions):
        confidence: float = Field(0.95, ge=0, le=1)  # configs of VOC and of Cityscapes
        lambda_strong: float = Field(0.5, ge=0)  # weight of each of the two strong views; code
        # independent: separate channels for each view; the paper's comparison
        dropout: Literal["complementary", "independent", "none"] = "complementary"
        dropped_images: float = Field(0.5, ge=0, le=1)  # share of the batch with channel dropout; code
        cutmix_probability: float = Field(0.5, ge=0, le=1)  # code

    tuned = STRONG_VIEWS | {
        "confidence": Between(0.5, 0.98),
        "lambda_strong": Between(0.1, 1.0, log=True),
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
        own = pseudo_labels(step.targets(step.teacher(weak).logits), batch)
        donor = own.partner(step)
        images, targets = [], []
        for k in (1, 2):
            strong = views.photometric(weak, step.draws, f"strong{k}", strength=self.setting.strength)
            boxes = cutmix.unimatch_boxes(step.draws, f"cutmix{k}", weak.shape[-2:], p=o.cutmix_probability)
            box = cutmix.mask(boxes, weak.shape[-2:], weak.device)
            images.append(cutmix.paste(strong, partner(strong, step), box))
            targets.append(own.mixed(donor, box))

        labelled, *strong = self._outputs(batch.image, images, step)
        losses = {"supervised": 0.5 * step.supervised(labelled, batch.label)}
        for k, (output, pseudo) in enumerate(zip(strong, targets, strict=True), 1):
            loss = confident_cross_entropy(output.logits, pseudo, o.confidence, step)
            losses[f"strong{k}"] = 0.5 * o.lambda_strong * loss
        return losses

    def _outputs(self, labelled: Tensor, strong: list[Tensor], step: Step) -> list[Any]:
        """Outputs of the student for the labelled images, and for the two strong views with channel dropout."""
        ahead, size = (len(labelled) if step.joint else 0), labelled.shape[-2:]
        features = step.student.encode(torch.cat([labelled, *strong] if step.joint else strong))
        features = [
            torch.cat([feature[:ahead], feature[ahead:] * self._kept(feature, step)[:, :, None, None]])
            for feature in features
        ]
        first, *others = step.student.decode(features, size).split([ahead, *map(len, strong)])
        return [first if step.joint else step.student(labelled), *others]

    def _kept(self, feature: Tensor, step: Step) -> Tensor:
        """[2 B, C]: factors 0, 1 or 2 for the channels of the two views' features."""
        from semiseg.feed.transfer import to_device

        o, channels, count = self.options, feature.shape[1], self.setting.batch
        masks = [step.draws.uniform(f"dropout{k}/{channels}", channels) >= 0.5 for k in (1, 2)]
        if o.dropout == "complementary":
            masks[1] = ~masks[0]
        kept = int(count * (1 - o.dropped_images)) if o.dropout != "none" else count
        whole = step.draws.permutation("whole", count)[step.rows] < kept
        factors = [to_device(2.0 * mask, feature.device) for mask in masks]
        whole = to_device(whole, feature.device)[:, None]
        return torch.cat([factor.masked_fill(whole, 1.0) for factor in factors]).to(feature.dtype)
