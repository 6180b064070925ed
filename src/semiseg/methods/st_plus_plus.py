r"""ST++ (Yang et al., CVPR 2022): self-training in stages, with the reliable images first.

1. A teacher learns from the labelled images alone: the suite's run of `supervised`.
2. Unlabelled images are ranked by how stable the teacher's predictions were while it trained ($r_i$ below).
3. The first student learns from the labelled images and from the teacher's labels of the upper half.
4. The last student, from its start weights, learns from all images. The first student labels the lower half.

$$ r_i = \operatorname{mean}_k \operatorname{mIoU}(\hat y_i^{(k)}, \hat y_i) $$
$$ L = \tfrac12 (L_x + L_u) $$

$\hat y_i^{(k)}$ is the prediction of the teacher's $k$-th earlier weights on image $i$, $\hat y_i$ that of its last
weights. $L$ is the loss of every student; $L_u$ is the recipe's criterion on strong views of unlabelled images with
their given labels. Labels are computed once, from the mean prediction over scales and mirror images. A cut-out box is
filled with one random colour and has no label. The variant `st` has one student, which learns from the teacher's labels
of all images.

The code draws its batches from one pool with as many labelled as unlabelled images; here each batch has fixed numbers
of both. Of the teacher and of the first student the code keeps the epoch that is best on the validation set; here it is
the last. In the code each pixel of a cut-out box has a random colour.

Reference: Yang, Zhuo, Qi, Shi, Gao: ST++: Make Self-training Work Better for Semi-supervised Semantic Segmentation.
CVPR 2022. Code: LiheYoung/ST-PlusPlus at f4e7a57.

Known to go wrong:
- A wrong label stays wrong for a whole training: a class that the teacher never predicts is lost.
- It takes one training for each stage: three, including the supervised run. Tables of cost count all of them.
- Its lists of Cityscapes are neither CPS's nor U2PL's, and a sliding window would add about 1.5 points to its figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE
from semiseg.methods._ranges import STRONG_VIEWS, Between
from semiseg.methods._terms import beside, valid_pixels
from semiseg.methods.method import Batch, Method, Needed, NeededRun, Passes, PseudoLabelOptions, Step

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Positive = Annotated[float, Field(gt=0)]
EARLIER = ("snapshot1", "snapshot2")  # the teacher's weights after a third and two thirds of its training; code
CERTAIN = 20.0  # logit of a given label


class STPlusPlus(Method):
    title = "ST++"
    year = 2022
    fidelity = "paper's formulas"
    batch_norm = "joint"  # the code: labelled and unlabelled images are drawn from one pool
    passes = Passes(1, 1)
    variant_names = {"st": {"selection": False}}

    class Options(PseudoLabelOptions):
        selection: bool = True  # off: ST, one student with the teacher's labels of all images
        stage: Literal["first", "last"] = "last"  # which student
        reliable: float = Field(0.5, gt=0, le=1)  # share of the images that the first student learns from; paper
        cutout_probability: float = Field(0.5, ge=0, le=1)  # code
        scales: tuple[Positive, ...] = Field((0.5, 0.75, 1.0, 1.5, 2.0), min_length=1)  # to make labels; code

    # Ranges for the last student only: earlier stages do not change, and are trained once for all trials.
    tuned = STRONG_VIEWS | {"cutout_probability": Between(0.0, 1.0)}

    @classmethod
    def check(cls, options, setting) -> None:
        if options.stage == "first" and not options.selection:
            raise UserError("stage: without selection there is only one student; omit `stage`")

    @classmethod
    def needs(cls, options) -> dict[str, Needed]:
        if options.selection and options.stage == "last":
            first = options.model_dump() | {"stage": "first", "control": "none"}
            return {"first_student": Needed("st_plus_plus", first)}
        return {"teacher": Needed("supervised")}

    def labels(self, needed: Mapping[str, NeededRun], ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        if "teacher" in needed:
            teacher = needed["teacher"]
            yield from self._labelled_by(teacher, self._reliable(teacher, ids) if self.options.selection else ids)
        else:
            given = needed["first_student"].given
            yield from ((one, given[one]) for one in ids if one in given)
            yield from self._labelled_by(needed["first_student"], [one for one in ids if one not in given])

    def _labelled_by(self, run: NeededRun, ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        return run.predictions(ids, scales=self.options.scales, flip=True)

    def _reliable(self, teacher: NeededRun, ids: Sequence[str]) -> list[str]:
        """The images whose predictions were the most stable; at least one."""
        stability = dict.fromkeys(ids, 0.0)
        earlier = [teacher.predictions(ids, network) for network in EARLIER]
        for (one, last), *before in zip(teacher.predictions(ids), *earlier, strict=True):
            scores = [agreement(label, last, self.setting.classes) for _, label in before]
            stability[one] = sum(scores) / len(scores)
        ranked = sorted(ids, key=lambda one: (-stability[one], one))
        return ranked[: max(1, int(self.options.reliable * len(ids)))]

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        from semiseg import views
        from semiseg.feed.transfer import to_device
        from semiseg.views import cutmix

        weak, size = batch.unlabelled, batch.unlabelled.shape[-2:]
        strong = views.photometric(weak, step.draws, "strong", strength=self.setting.strength)
        boxes = cutmix.unimatch_boxes(step.draws, "cutout", size, p=self.options.cutout_probability)
        box = cutmix.mask(boxes, size, weak.device)
        noise = to_device(step.draws.uniform("noise", 3, high=255.0), weak.device).to(weak.dtype)
        strong = cutmix.paste(strong, noise[:, :, None, None].expand_as(strong), box)

        labelled, student = beside(step, step.student, batch.image, strong)
        label = step.targets(self._logits(batch.given)).max(1).indices
        known = (batch.given != IGNORE) & valid_pixels(batch) & ~box
        return {
            "supervised": 0.5 * step.supervised(labelled, batch.label),
            "given": 0.5 * step.supervised(student, label.where(known, IGNORE)),
        }

    def _logits(self, given: Tensor) -> Tensor:
        """The labels as predictions, as input of `step.targets`."""
        from semiseg.models.criteria import one_hot

        return CERTAIN * one_hot(given, self.setting.classes)


def agreement(one: np.ndarray, other: np.ndarray, classes: int) -> float:
    """mIoU of two label maps, over the classes that occur in either."""
    import numpy as np

    table = np.bincount(one.astype(np.int64).ravel() * classes + other.ravel(), minlength=classes**2)
    table = table.reshape(classes, classes)
    union = table.sum(0) + table.sum(1) - table.diagonal()
    return float((table.diagonal()[union > 0] / union[union > 0]).mean())
