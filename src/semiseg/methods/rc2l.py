r"""RC2L, region-level contrast and consistency (Zhang et al., IJCAI 2022), our reading.

A teacher region $m^t_k$ is the part of the teacher's semantic map with class $k$. The Hungarian method pairs each
region with one of the student's $N$ queries, $k \to q(k)$, by class probability and dice. $K$ is the number of teacher
regions; $r$ are features averaged over a mask.

$$
\text{RMC} = - \frac1K \sum_k \log
\frac{e^{\text{dice}(m^s_{q(k)}, m^t_k) / \tau}}{\sum_j e^{\text{dice}(m^s_j, m^t_k) / \tau}}
$$
$$
\text{RFC} = - \frac1K \sum_k \log
\frac{e^{\cos(r^s_{q(k)}, r^t_k) / \tau}}{\sum_j e^{\cos(r^s_j, r^t_k) / \tau}}
$$
$$ \text{RCC} = \frac1K \sum_k \operatorname{CE}(\text{class}^s_{q(k)}, k) $$
$$
\begin{split}
\text{SMC} = \frac{1}{N_{\text{pixels}}} \sum_j & \mathbb{1}[\text{conf}^t_j \ge \tau_c] \\
  & \cdot \operatorname{CE}(s_j, \operatorname{argmax} t_j)
\end{split}
$$
$$
\begin{split}
L = {} & L_{\text{MaskFormer}} + \lambda_{\text{rmc}} \text{RMC} + \lambda_{\text{rfc}} \text{RFC} \\
       & + \lambda_{\text{rcc}} \text{RCC} + \lambda_{\text{smc}} \text{SMC}
\end{split}
$$

RMC contrasts masks, RFC features; RCC compares classes; SMC compares the semantic maps $s$ and $t$ above the confidence
$\tau_c$ (`confidence`). $L_{\text{MaskFormer}}$ is the loss on labelled images. The cost is that of $N K$ pairs
of regions; pixel contrast has $(HW)^2$ pairs of pixels.

The paper's code is not public, and we could not read its text, only the abstract, figure captions and a short review.
Known, and used here:

- regions in place of pixels, because pixel contrast costs the square of the number of pixels;
- an EMA teacher, and a network that classifies masks, as MaskFormer does, with $N$ queries in the student;
- features of the pixel decoder averaged over masks (mask average pooling);
- the names of the four losses, and the quantities that each compares.

Not known, and a free choice here: the form of every loss, the matching, the definition of a teacher region, the
temperature, every weight, $N$, the teacher's momentum, the strong augmentation.

Reference: Zhang, Wu, Ding, Zhao, Guo: Region-level Contrastive and Consistency Learning for Semi-Supervised Semantic
Segmentation. IJCAI 2022.

Known to go wrong:
- A mask head learns more slowly than a pixel head and ends far below it on short schedules, also in the supervised
  baseline. The method is compared only with the baseline with a mask head.
- While the teacher is unsure, too few pixels reach `confidence` for a region of `min_area`, and the three region losses
  are 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from semiseg.base.lazy import F
from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import Pseudo, beside, check_partners, confident_cross_entropy, partner, pseudo_labels
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    from torch import Tensor


class RC2L(Method):
    title = "RC2L (our reading)"
    year = 2022
    fidelity = "our reading"
    batch_norm = "joint"  # free choice
    passes = Passes(1, 1, 1)
    reports = "teacher"
    needs_teacher = True
    head = "mask"

    class Options(PseudoLabelOptions):
        lambda_rmc: float = Field(0.1, ge=0)  # free choice, as all of these; 0 switches a loss off
        lambda_rfc: float = Field(0.1, ge=0)
        lambda_rcc: float = Field(0.1, ge=0)
        lambda_smc: float = Field(1.0, ge=0)
        temperature: float = Field(0.1, gt=0)  # free choice: dice and cosine are at most 1, so logits at most 10
        confidence: float = Field(0.9, ge=0, le=1)  # free choice: for the pixels of SMC, and for the pixels of regions
        min_area: float = Field(0.001, ge=0, lt=1)  # free choice: smallest share of the image for a region
        cutmix_probability: float = Field(0.5, ge=0, le=1)  # free choice: CutMix as in UniMatch

    tuned = STRONG_VIEWS | {
        "lambda_rmc": Between(0.02, 0.5, log=True),
        "lambda_rfc": Between(0.02, 0.5, log=True),
        "lambda_rcc": Between(0.02, 0.5, log=True),
        "lambda_smc": Between(0.3, 3.0, log=True),
        "confidence": Between(0.5, 0.98),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        if options.cutmix_probability > 0:
            check_partners(setting.batch)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views
        from semiseg.views import cutmix

        o, weak, size = self.options, batch.unlabelled, batch.unlabelled.shape[-2:]
        boxes = cutmix.unimatch_boxes(step.draws, "cutmix", size, p=o.cutmix_probability)
        box = cutmix.mask(boxes, size, weak.device)
        strong = views.photometric(weak, step.draws, "strong", strength=self.setting.strength)
        mixed = cutmix.paste(strong, partner(strong, step), box)

        teacher = step.teacher(weak)
        pseudo = pseudo_labels(step.targets(teacher.logits), batch)
        pseudo = pseudo.mixed(pseudo.partner(step), box)
        pixels = teacher.regions.pixels.float()
        coarse = F.interpolate(box[:, None].float(), pixels.shape[-2:], mode="nearest")[:, 0] > 0
        pixels = cutmix.paste(pixels, partner(pixels, step), coarse)

        labelled, student = beside(step, step.student, batch.image, mixed)
        losses = {"supervised": step.supervised(labelled, batch.label)}
        if o.lambda_smc:
            smc = confident_cross_entropy(student.logits, pseudo, o.confidence, step)
            losses["smc"] = o.lambda_smc * smc
        return losses | self._regional(student.regions, pseudo, pixels, step)

    def _regional(self, student: Any, pseudo: Pseudo, pixels: Tensor, step: Step) -> dict[str, Tensor]:
        from semiseg.models.matching import match

        o = self.options
        if not (o.lambda_rmc or o.lambda_rfc or o.lambda_rcc):
            return {}
        classes = student.class_logits.shape[2] - 1
        regions, present = self._teacher_regions(pseudo, classes, pixels.shape[-2:])
        masks = student.mask_logits.float().sigmoid()
        overlap = dice(masks, regions)
        log_classes = student.class_logits.float().log_softmax(2)
        rows = match(-log_classes[:, :, :-1].exp() - overlap, present)  # the host waits, once for the batch
        queries, paired = rows.clamp(min=0), rows >= 0

        def mean(values: Tensor) -> Tensor:
            return step.global_mean((values * paired).sum(), paired.sum())

        losses = {}
        if o.lambda_rmc:
            losses["rmc"] = o.lambda_rmc * mean(contrast(overlap, queries, o.temperature))
        if o.lambda_rfc:
            likeness = cosine(pooled(student.pixels.float(), masks), pooled(pixels, regions))
            losses["rfc"] = o.lambda_rfc * mean(contrast(likeness, queries, o.temperature))
        if o.lambda_rcc:
            right = -log_classes[:, :, :-1].gather(1, queries[:, None])[:, 0]
            losses["rcc"] = o.lambda_rcc * mean(right)
        return losses

    def _teacher_regions(self, pseudo: Pseudo, classes: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Masks [B,C,h,w], the share of each cell with confident pixels of the class, and which classes occur."""
        from semiseg.base.labels import IGNORE
        from semiseg.models.criteria import one_hot

        certain = pseudo.valid & (pseudo.confidence >= self.options.confidence)
        masks = F.adaptive_avg_pool2d(one_hot(pseudo.label.where(certain, IGNORE), classes), size)
        return masks, masks.mean((2, 3)) > self.options.min_area


def dice(student: Tensor, teacher: Tensor) -> Tensor:
    """2 |m^s m^t| / (|m^s| + |m^t|) for every pair of masks: [B,N,h,w] and [B,K,h,w] to [B,N,K]."""
    student, teacher = student.flatten(2), teacher.flatten(2)
    sizes = student.sum(2)[:, :, None] + teacher.sum(2)[:, None, :]
    return 2 * student @ teacher.transpose(1, 2) / sizes.clamp(min=1e-6)


def pooled(pixels: Tensor, masks: Tensor) -> Tensor:
    """Mask average pooling: features [B,D,h,w] under each mask [B,N,h,w], as [B,N,D]."""
    masks = masks.flatten(2)
    return masks @ pixels.flatten(2).transpose(1, 2) / masks.sum(2, keepdim=True).clamp(min=1e-6)


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Cosine of every pair of features: [B,N,D] and [B,K,D] to [B,N,K]."""
    return F.normalize(student, dim=2) @ F.normalize(teacher, dim=2).transpose(1, 2)


def contrast(likeness: Tensor, queries: Tensor, temperature: float) -> Tensor:
    """InfoNCE over the student's regions [B,N,K]: the negative log of the paired query's share [B,K]."""
    return -(likeness / temperature).log_softmax(1).gather(1, queries[:, None])[:, 0]
