"""What a method is: options with defaults, a check of them, and a function from predictions to named losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from semiseg.base.errors import UserError
from semiseg.base.registry import Registry
from semiseg.base.strict import Strict
from semiseg.datasets.kind import REGISTRY as KINDS
from semiseg.methods._ranges import EVERY_METHOD, Range

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


# How a method compares with its source; "" where there is none, as for a baseline.
Fidelity = Literal["", "official code compared", "paper's formulas", "our reading"]


class MethodOptions(Strict):
    """A method's block of `params.yaml`; defaults are the paper's values, or marked `free choice` with the reason."""


class PseudoLabelOptions(MethodOptions):
    """Options of a method that learns from its own predictions."""

    # What `Step.targets` puts in their place: `oracle` the hidden labels, `shuffled` another image's prediction.
    # Tests of the method (it must come close to full labels, and must not gain); results have `none`
    control: Literal["none", "oracle", "shuffled"] = "none"


@dataclass(frozen=True)
class Setting:
    """What a method may know of the study it is part of."""

    iterations: int
    crop: tuple[int, int]  # height, width
    batch: int  # unlabelled images that a method sees at once, over all processes
    background: int | None = None  # the class of pixels that belong to no other class; None if there is none
    strength: float = 1.0  # of the strong views
    classes: int = 0  # 0 while a study is only planned: its data need not be there yet
    batch_labelled: int = 2  # labelled images that a method sees at once, over all processes

    @classmethod
    def of(cls, recipe: Mapping[str, Any], kind: str, classes: int = 0) -> Setting:
        """From the blocks of params.yaml and the kind of data set."""
        background = KINDS.load(kind).background
        crop = tuple(recipe["crop"])
        parts, strength = recipe["optimiser"]["accumulate"], recipe["augment"]["strength"]
        labelled, unlabelled = (recipe["batch"][name] // parts for name in ("labelled", "unlabelled"))
        return cls(recipe["iterations"], crop, unlabelled, background, strength, classes, labelled)


@dataclass(frozen=True)
class Passes:
    """Passes of a step through one network, in images of the labelled and of the unlabelled batch."""

    labelled: float  # forward and backward
    unlabelled: float  # a decoder that runs alone counts as three tenths of a network
    without_gradient: float = 0.0  # forward only, unlabelled
    labelled_without_gradient: float = 0.0


@dataclass(frozen=True)
class Channels:
    """Channels of the network's features, for modules that a method owns."""

    encoder: tuple[int, ...]  # of `encode`, coarse last
    decoder: int  # of `Output.features`


@dataclass(frozen=True)
class Needed:
    """A run that has to be finished first: a method and its options, on the same data, list, recipe and seed."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)  # where they differ from the suite's defaults


class NeededRun(Protocol):
    """A finished run, as the run that needs it sees it."""

    def __call__(self, pixels: Tensor) -> Any:
        """Output of the network that it reports, in evaluation mode, without gradient."""

    def predictions(
        self, ids: Sequence[str], network: str = "student", scales: Sequence[float] = (1.0,), flip: bool = False
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Label maps under the suite's evaluation protocol; `snapshot1`, … are the student's earlier weights."""

    @property
    def given(self) -> Mapping[str, np.ndarray]:
        """The label maps that it learned from itself, by image."""


@dataclass(frozen=True)
class Batch:
    """One step's images as pixels (0..255). Masks of unlabelled images are not here, so no method can use them."""

    image: Tensor  # [Bl,3,H,W]
    label: Tensor  # [Bl,H,W] int64, 255 ignored
    unlabelled: Tensor | None = None  # [Bu,3,H,W], the weak view: scaled, cropped, flipped
    valid: Tensor | None = None  # [Bu,H,W] bool, False on padding
    given: Tensor | None = None  # [Bu,H,W] int64, what `Method.labels` gave to these images, 255 on padding


class Step(Protocol):
    """The networks and the helpers of one step. Nothing here waits for the device, and neither may a method."""

    iteration: int  # from 0
    iterations: int
    auxiliary: Callable[[Tensor], Tensor] | None  # the second player
    buffers: dict[str, Tensor]  # what `Method.buffers` declared; written in place, by every process alike
    draws: Any  # semiseg.feed.draws.Draws, one row per unlabelled image of this process
    rows: slice  # this process's rows of a gathered tensor
    labelled: Step  # this step with the draws and the rows of the labelled images
    needed: Mapping[str, NeededRun]  # the runs that `Method.needs` names
    joint: bool  # labelled and unlabelled images share a forward pass: `_terms.beside` asks

    def student(self, pixels: Tensor) -> Any:
        """Output of the student in training mode (`encode` and `decode` are its two halves)."""

    def teacher(self, pixels: Tensor) -> Any:
        """Output of the EMA teacher in evaluation mode, without gradient."""

    def second(self, pixels: Tensor) -> Any:
        """Output of the second student (`networks = 2`)."""

    def student_eval(self, pixels: Tensor) -> Any:
        """Output of the student in evaluation mode, without gradient."""

    def owned(self, name: str, *inputs: Tensor) -> Any:
        """Output of a module that `Method.owned` declared, in training mode."""

    def teacher_owned(self, name: str, *inputs: Tensor) -> Any:
        """The same of its running average, in evaluation mode, without gradient."""

    def supervised(self, output: Any, label: Tensor) -> Tensor:
        """The recipe's criterion on labelled images."""

    def targets(self, logits: Tensor) -> Tensor:
        """The identity, and the only door to pseudo-labels: controls put hidden labels or other predictions in here.

        `logits` are those of this step's unlabelled images, in the batch's order and before any mixing.
        """

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, without gradient."""

    def global_mean(self, total: Tensor, count: Tensor) -> Tensor:
        """Ratio of the two sums over all processes; 0 where the count is 0."""


class Method:
    """One method; a subclass is its mathematics and declares below what the engine has to provide."""

    class Options(MethodOptions):
        pass

    title: ClassVar[str] = ""  # as tables and plots write it; "" takes the name of the file
    year: ClassVar[int] = 9999  # methods are listed by the year of their paper
    fidelity: ClassVar[Fidelity] = ""
    # Whether labelled and unlabelled images share the student's batch statistics. This is the official behaviour, which
    # `recipe.batch_norm` can replace.
    batch_norm: ClassVar[Literal["joint", "separate"]] = "joint"
    passes: Passes = Passes(1, 2, 1)  # what `semiseg plan` reckons with
    reports: Literal["student", "teacher"] = "student"
    needs_teacher: bool = False
    networks: ClassVar[int] = 1
    variant_names: ClassVar[dict[str, dict[str, Any]]] = {}
    tuned: ClassVar[dict[str, Range]] = EVERY_METHOD  # what tuning may try

    def __init__(self, options: MethodOptions, setting: Setting) -> None:
        self.options: Any = options
        self.setting = setting

    @classmethod
    def check(cls, options: Any, setting: Setting) -> None:
        """Raise UserError("option: problem") for what makes no sense in this setting, before anything is trained."""

    @classmethod
    def needs_unlabelled(cls, options: Any) -> bool:
        """False where there is something to train with all labels and no unlabelled images."""
        return True

    @classmethod
    def as_dear_as_any(cls, options: Any) -> bool:
        """True where a training is as long as makes it cost what the dearest method of its suite costs."""
        return False

    @classmethod
    def needs(cls, options: Any) -> dict[str, Needed]:
        """Runs that have to be finished before this one, by what this one calls them."""
        return {}

    @property
    def snapshots(self) -> tuple[float, ...]:
        """Shares of the training after which the student's weights are kept too, for runs that need this one."""
        return ()

    def labels(self, needed: Mapping[str, NeededRun], ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray]] | None:
        """Labels that the needed runs give to unlabelled images, once and before the training; None: there are none.

        Images without one are left out of the training.
        """
        return None

    @property
    def uses_unlabelled(self) -> bool:
        """False where no step looks at unlabelled images, so that none are read."""
        return True

    @property
    def head(self) -> Literal["pixel", "mask"]:
        return "pixel"

    @property
    def confidence(self) -> float | None:
        """Threshold on the largest softmax probability above which a pixel counts as confident; None: all pixels do."""
        return getattr(self.options, "confidence", None)

    def confident(
        self,
        logits: Tensor,
        auxiliary: Callable[[Tensor], Tensor] | None = None,
        buffers: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Mask [B,H,W] of the pixels whose prediction the method would learn from; used by the diagnostics only."""
        return logits.float().softmax(1).amax(1) >= (self.confidence or 0.0)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Named, weighted losses of the student; the engine adds them up, backpropagates and steps."""
        raise NotImplementedError

    def owned(self, channels: Channels) -> dict[str, nn.Module]:
        """Modules that belong to the student: trained with it at its head's rate, and averaged into its teacher."""
        return {}

    def buffers(self) -> dict[str, Tensor]:
        """First values of what the method remembers from one step to the next; no gradient and no average."""
        return {}

    def auxiliary(self) -> nn.Module | None:
        """A second player, frozen during `losses`; its own optimiser reads the options `lr_d`, `betas_d`, `power_d`."""
        return None

    def auxiliary_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Named losses of the second player, after `losses` of the same step."""
        return {}


REGISTRY = Registry("method", "semiseg.methods", Method, not_entries=("method",))
names, load = REGISTRY.names, REGISTRY.load


def check(kind: type[Method], options: Any, setting: Setting) -> None:
    """The method's own check, and what holds for every method."""
    if getattr(options, "control", "none") == "shuffled" and setting.batch < 2:
        raise UserError(
            "control: shuffled gives each image another one's prediction, but one image goes through a step at once; "
            "raise batch.unlabelled or lower accumulate"
        )
    kind.check(options, setting)


def of_run(config: Mapping[str, Any], classes: int = 0) -> Method:
    """The method of a run's configuration, with its options."""
    kind = load(config["method"]["name"])
    options = kind.Options.model_validate(config["method"]["options"])
    return kind(options, Setting.of(config["recipe"], config["dataset"]["kind"], classes))
