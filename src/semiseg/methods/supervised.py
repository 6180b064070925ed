r"""Training on labelled images only: the baseline of every comparison, and its row `all labels`.

$$ L = L_x $$

$L_x$ is the recipe's criterion on the weak view. Variants that are harder to beat:

- `bn`: unlabelled images pass through the student together with labelled images. They have no loss, but contribute to
  the statistics of batch norm, as in most methods.
- `strong`: $L = \tfrac12 (L_x + L_s)$. $L_s$ is the criterion on strong views of the labelled images; CutMix
  mixes these images together with their labels. The EMA teacher is reported.
- `strong_long`: `strong` with more iterations, for as many FLOPs as the suite's most expensive method.

Known to go wrong:
- With few labels, batch norm estimates its statistics from few images. Compare a method with `bn` before its gain is
  attributed to its loss: sharing the forward pass with unlabelled images may improve the statistics.
- `strong` helps only if the strong colours suit the data; `recipe.augment.strength` is the same for all methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from semiseg.base.errors import UserError
from semiseg.methods._terms import beside, partner
from semiseg.methods.method import Batch, Method, MethodOptions, Passes, Step

if TYPE_CHECKING:
    from torch import Tensor


class Supervised(Method):
    title = "Supervised"
    year = 0
    batch_norm = "joint"  # for the variant bn; all other variants see no unlabelled image
    variant_names = {"bn": {"bn": True}, "strong": {"strong": True}, "strong_long": {"long": True, "strong": True}}

    class Options(MethodOptions):
        # `mask` is the baseline of rc2l: methods are compared only with a baseline with the same head
        head: Literal["pixel", "mask"] = "pixel"
        bn: bool = False  # unlabelled images contribute to the statistics of batch norm, without a loss
        strong: bool = False  # a second view with the methods' strong colours and CutMix; the teacher is reported
        cutmix_probability: float = Field(0.5, ge=0, le=1)  # for `strong`; free choice: as in UniMatch
        long: bool = False  # as many iterations as the FLOPs of the suite's most expensive method allow

    @classmethod
    def check(cls, options, setting) -> None:
        if options.strong and options.cutmix_probability > 0 and setting.batch_labelled < 2:
            raise UserError(
                f"strong: {setting.batch_labelled} labelled image goes through a step at once (batch.labelled over "
                "optimiser.accumulate), but CutMix pastes one into another; raise batch.labelled or lower accumulate"
            )

    @classmethod
    def needs_unlabelled(cls, options) -> bool:
        return options.bn

    @classmethod
    def as_dear_as_any(cls, options) -> bool:
        return options.long

    @property
    def uses_unlabelled(self) -> bool:
        return self.options.bn

    @property
    def head(self) -> Literal["pixel", "mask"]:
        return self.options.head

    @property
    def needs_teacher(self) -> bool:
        return self.options.strong

    @property
    def reports(self) -> Literal["student", "teacher"]:
        return "teacher" if self.options.strong else "student"

    @property
    def passes(self) -> Passes:
        return Passes(2 if self.options.strong else 1, 1 if self.options.bn else 0)

    @property
    def snapshots(self) -> tuple[float, ...]:
        """Snapshots of the plain baseline only, because it is the teacher of methods that train in stages."""
        o = self.options
        return () if o.bn or o.strong or o.long or o.head == "mask" else (1 / 3, 2 / 3)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        output = beside(step, step.student, batch.image, batch.unlabelled)[0] if self.options.bn else None
        weak = step.supervised(output or step.student(batch.image), batch.label)
        if not self.options.strong:
            return {"supervised": weak}
        return {"supervised": 0.5 * weak, "strong": 0.5 * self._strong(batch, step.labelled)}

    def _strong(self, batch: Batch, step: Any) -> Tensor:
        from semiseg import views
        from semiseg.views import cutmix

        size = batch.image.shape[-2:]
        strong = views.photometric(batch.image, step.draws, "labelled_strong", strength=self.setting.strength)
        boxes = cutmix.unimatch_boxes(step.draws, "labelled_cutmix", size, p=self.options.cutmix_probability)
        box = cutmix.mask(boxes, size, strong.device)
        mixed = cutmix.paste(strong, partner(strong, step), box)
        label = cutmix.paste(batch.label, partner(batch.label, step), box)
        return step.supervised(step.student(mixed), label)
