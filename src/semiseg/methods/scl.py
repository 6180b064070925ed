r"""SCL, structured consistency (Kim et al. 2020), our reading: student and teacher agree on which pixels are alike.

$$ a_{ij} = \frac{p_i \cdot p_j}{|p_i| \, |p_j|} $$
$$ L_{\text{SC}} = \operatorname{mean}_{ij} (a^s_{ij} - a^t_{ij})^2 $$
$$
\begin{split}
L = L_x + w(t) \big[ & \lambda_{\text{cons}} \tfrac1N \textstyle\sum_j \sum_c (p^s_{jc} - p^t_{jc})^2 \\
                     & + \lambda_{\text{sc}} L_{\text{SC}} \big]
\end{split}
$$

$w(t)$ is the ramp-up of Mean Teacher. The images are mixed by CutMix. Both pixels of a pair lie on one side of the mix,
because the two sides show two scenes. All pairs of an $H \times W$ map cost $(HW)^2$; $n$ pixels drawn inside the box
cost $n^2$, whatever the size of the image.

The paper's code is not public, and we could not read its text. Known from the abstract and reviews, and used here:

- a mean teacher, and a loss on the similarities between pixels of student and teacher;
- CutMix, which makes this loss cheap: pairs consist of pixels sampled inside the boxes;
- pseudo-labels of the teacher from several augmentations (`mirror`);
- boundary-label relaxation as the loss on labelled images (`boundary_relaxation`; off by default, for equal terms).

Reported, but not used: DeepLabV3+ with WideResNet-38 and video propagation. Not known, and a free choice here: the form
of $a_{ij}$ and of the loss, the vector $p$ (class probabilities), every weight, the number of pixels, the distribution
of the boxes, the teacher's momentum, the ramp-up.

Reference: Kim, Jang, Park, Jeong: Structured Consistency Loss for semi-supervised semantic segmentation. arXiv
2001.04647, 2020.

Known to go wrong:
- The published figures (Cityscapes, all labels and the extra images) do not test this reading: they come from another
  network, pre-training and schedule.
- While predictions are unsure, the cosine is close to 1 for nearly all pairs, so $L_{\text{SC}}$ is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from semiseg.base.errors import UserError
from semiseg.base.lazy import F, torch
from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import (
    beside,
    check_partners,
    check_ramp_up,
    gaussian_ramp_up,
    partner,
    squared_difference,
    valid_pixels,
)
from semiseg.methods.method import Batch, Method, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from semiseg.feed.draws import Draws


class SCL(Method):
    title = "SCL (our reading)"
    year = 2020
    fidelity = "our reading"
    batch_norm = "joint"  # free choice
    passes = Passes(1, 1, 2)
    reports = "teacher"
    needs_teacher = True

    class Options(PseudoLabelOptions):
        lambda_consistency: float = Field(1.0, ge=0)  # free choice: as in CutMix-Seg, which has the same term
        lambda_structured: float = Field(1.0, ge=0)  # free choice: the same weight as the pixel term
        structured: bool = True
        scope: Literal["box", "full"] = "box"  # full: all pairs within either side of the border
        pixels: int = Field(256, ge=2)  # free choice: drawn inside the box (scope box)
        area: float = Field(0.5, gt=0, lt=1)  # free choice: share of the image inside the box, as in CutMix-Seg
        mirror: bool = True  # the teacher averages several views; free choice: the image and its mirror image
        boundary_relaxation: bool = False  # labelled loss of the paper; off: that of the recipe, for equal terms
        ramp_up: float = Field(0.25, ge=0)  # free choice: a share of the training, as in mean_teacher

    tuned = STRONG_VIEWS | {
        "lambda_consistency": Between(0.3, 10.0, log=True),
        "lambda_structured": Between(0.3, 3.0, log=True),
        "area": Between(0.25, 0.75),
    }

    @classmethod
    def check(cls, options, setting) -> None:
        check_partners(setting.batch)
        check_ramp_up(options.ramp_up, setting.iterations)
        holds = int(options.area * setting.crop[0] * setting.crop[1])
        if options.structured and options.scope == "box" and options.pixels > holds:
            height, width = setting.crop
            raise UserError(
                f"pixels: {options.pixels} pixels cannot be drawn from a box that holds {holds} "
                f"(area {options.area:g} of {height}x{width}); give at most {holds}"
            )

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views
        from semiseg.models import criteria
        from semiseg.views import cutmix

        o, weak, valid = self.options, batch.unlabelled, valid_pixels(batch)
        boxes = cutmix.fixed_area_boxes(step.draws, "cutmix", weak.shape[-2:], area=o.area)
        box = cutmix.mask(boxes, weak.shape[-2:], weak.device)
        teacher = step.targets(self._teacher(weak, step)).detach().float().softmax(1)
        teacher = cutmix.paste(teacher, partner(teacher, step), box)
        valid = torch.where(box, partner(valid, step), valid)
        strong = views.photometric(weak, step.draws, "strong", strength=self.setting.strength)
        mixed = cutmix.paste(strong, partner(strong, step), box)

        labelled, unlabelled = beside(step, step.student, batch.image, mixed)
        student = unlabelled.logits.float().softmax(1)
        supervised = (
            criteria.boundary_relaxed(labelled.logits, batch.label, mean=step.global_mean)
            if o.boundary_relaxation
            else step.supervised(labelled, batch.label)
        )
        consistency = step.global_mean((squared_difference(student, teacher) * valid).sum(), valid.sum())
        losses = {"supervised": supervised, "consistency": o.lambda_consistency * consistency}
        if o.structured:
            of_images = self._structured(student, teacher, valid, box, boxes, step)
            structured = step.global_mean(of_images.sum(), of_images.new_full((), len(of_images)))
            losses["structured"] = o.lambda_structured * structured
        ramp = gaussian_ramp_up(step, o.ramp_up)
        return {name: loss if name == "supervised" else ramp * loss for name, loss in losses.items()}

    def _teacher(self, weak: Tensor, step: Step) -> Tensor:
        """Logits of the mean prediction for the image and for its mirror image."""
        if not self.options.mirror:
            return step.teacher(weak).logits
        plain, mirrored = step.teacher(torch.cat([weak, weak.flip(3)])).logits.float().softmax(1).chunk(2)
        return (0.5 * (plain + mirrored.flip(3))).clamp(min=1e-12).log()

    def _structured(self, student: Tensor, teacher: Tensor, valid: Tensor, box: Tensor, boxes: Tensor, step: Step):
        """L_SC of each image [B]."""
        from semiseg.feed.transfer import to_device

        if self.options.scope == "full":
            return all_pairs(vectors(student), vectors(teacher), (valid & box).flatten(1), (valid & ~box).flatten(1))
        at = to_device(drawn_pixels(boxes.numpy(), step.draws, self.options.pixels, student.shape[3]), student.device)
        drawn = (vectors(x).take_along_dim(at[:, :, None], 1) for x in (student, teacher))
        return drawn_pairs(*drawn, valid.flatten(1).take_along_dim(at, 1))


def vectors(maps: Tensor) -> Tensor:
    """[B,C,H,W] to one vector for each pixel, [B,HW,C]."""
    return maps.flatten(2).transpose(1, 2)


def drawn_pixels(boxes: np.ndarray, draws: Draws, n: int, width: int) -> np.ndarray:
    """[B,n] positions in the flattened map, uniform inside each box, with replacement.

    Drawn on the host, like the boxes.
    """
    shares = draws.uniform("pixels", 2 * n).reshape(-1, 2, n)
    first, last = boxes[:, :2, None], boxes[:, 2:, None]
    rows, columns = (first + (shares * (last - first)).astype(int)).swapaxes(0, 1)
    return rows * width + columns


def drawn_pairs(student: Tensor, teacher: Tensor, counted: Tensor) -> Tensor:
    """Mean of (a^s_ij - a^t_ij)^2 over all ordered pairs of counted vectors, for each image; [B,n,C] and [B,n]."""
    student, teacher = F.normalize(student, dim=2), F.normalize(teacher, dim=2)
    difference = student @ student.transpose(1, 2) - teacher @ teacher.transpose(1, 2)
    pairs = counted[:, :, None] & counted[:, None, :]
    return (difference.square() * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def all_pairs(student: Tensor, teacher: Tensor, *sides: Tensor) -> Tensor:
    """The same over ALL pairs whose vectors lie on one side, without forming the pairs.

    With d = s - t and u = s + t (unit vectors as rows), s s' - t t' = (d u' + u d') / 2, so that
    |s s' - t t'|^2 = [tr(d'd u'u) + tr(u'd u'd)] / 2: tables of CxC instead of (HW)x(HW), and 0 for equal maps.
    """
    student, teacher = F.normalize(student, dim=2), F.normalize(teacher, dim=2)
    difference, total = student - teacher, student + teacher
    squares, pairs = 0.0, 0.0
    for side in sides:
        d, u = difference * side[:, :, None], total * side[:, :, None]
        dd, uu, ud = d.transpose(1, 2) @ d, u.transpose(1, 2) @ u, u.transpose(1, 2) @ d
        squares = squares + 0.5 * ((dd * uu).sum((1, 2)) + (ud * ud.transpose(1, 2)).sum((1, 2)))
        pairs = pairs + side.sum(1).float().square()
    return squares / pairs.clamp(min=1)
