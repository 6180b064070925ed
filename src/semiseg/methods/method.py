"""The interface of a method: options with defaults, their check, and a function from predictions to named losses."""

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


# How a method compares with its source; "" without a source, as for a baseline.
Fidelity = Literal["", "official code compared", "paper's formulas", "our reading"]


class MethodOptions(Strict):
    """A method's block of `params.yaml`; defaults are the paper's values, or marked `free choice` with the reason."""


class PseudoLabelOptions(MethodOptions):
    """Options of a method that learns from its own predictions."""

    # `Step.targets` replaces the predictions: `oracle` by the hidden labels, `shuffled` by another image's prediction.
    # These test the method: it must come close to full labels, or must not gain. Results use `none`.
    control: Literal["none", "oracle", "shuffled"] = "none"


@dataclass(frozen=True)
class Setting:
    """The properties of a study that a method may use."""

    iterations: int
    crop: tuple[int, int]  # height, width
    batch: int  # unlabelled images in one part of a step, over all processes
    background: int | None = None  # the class of pixels that belong to no other class; None if there is none
    strength: float = 1.0  # strength of the strong views
    classes: int = 0  # 0 while a study is only planned, because the data may be missing
    batch_labelled: int = 2  # labelled images in one part of a step, over all processes

    @classmethod
    def of(cls, recipe: Mapping[str, Any], kind: str, classes: int = 0) -> Setting:
        """The setting of the given blocks of params.yaml and kind of data set."""
        background = KINDS.load(kind).background
        crop = tuple(recipe["crop"])
        parts, strength = recipe["optimiser"]["accumulate"], recipe["augment"]["strength"]
        labelled, unlabelled = (recipe["batch"][name] // parts for name in ("labelled", "unlabelled"))
        return cls(recipe["iterations"], crop, unlabelled, background, strength, classes, labelled)


@dataclass(frozen=True)
class Passes:
    """Number of passes through one network in a step, in multiples of the labelled and of the unlabelled batch."""

    labelled: float  # forward and backward
    unlabelled: float  # passes of the decoder alone; they count as three tenths of a network
    without_gradient: float = 0.0  # forward only, unlabelled
    labelled_without_gradient: float = 0.0


@dataclass(frozen=True)
class Channels:
    """Channels of the network's features, for the modules of a method."""

    encoder: tuple[int, ...]  # features of `encode`, the coarsest last
    decoder: int  # channels of `Output.features`


@dataclass(frozen=True)
class Needed:
    """A run that must be finished first: a method with options, on the same data, list, recipe and seed."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)  # options that differ from the suite's defaults


class NeededRun(Protocol):
    """A finished run, as seen by the run that needs it."""

    def __call__(self, pixels: Tensor) -> Any:
        """Output of the reported network, in evaluation mode, without gradient."""

    def predictions(
        self, ids: Sequence[str], network: str = "student", scales: Sequence[float] = (1.0,), flip: bool = False
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Label maps under the suite's evaluation protocol; `snapshot1`, …: the student's earlier weights."""

    @property
    def given(self) -> Mapping[str, np.ndarray]:
        """The label maps that this run was trained on, by image."""


@dataclass(frozen=True)
class Batch:
    """One step's images as pixels (0..255). Masks of unlabelled images are not here, so no method can use them."""

    image: Tensor  # [Bl,3,H,W]
    label: Tensor  # [Bl,H,W] int64, 255 ignored
    unlabelled: Tensor | None = None  # [Bu,3,H,W], the weak view: scaled, cropped, flipped
    valid: Tensor | None = None  # [Bu,H,W] bool, False on padding
    given: Tensor | None = None  # [Bu,H,W] int64, labels of these images from `Method.labels`, 255 on padding


class Step(Protocol):
    """The networks and helpers of one step. They do not wait for the device, and a method must not either."""

    iteration: int  # counted from 0
    iterations: int
    auxiliary: Callable[[Tensor], Tensor] | None  # the discriminator
    buffers: dict[str, Tensor]  # the tensors of `Method.buffers`; all processes write the same values in place
    draws: Any  # semiseg.feed.draws.Draws, one row per unlabelled image of this process
    rows: slice  # this process's rows of a gathered tensor
    labelled: Step  # this step, with the draws and rows of the labelled images
    needed: Mapping[str, NeededRun]  # the runs that `Method.needs` names
    joint: bool  # whether labelled and unlabelled images share a forward pass; used by `_terms.beside`

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
        """Output of the module's moving average, in evaluation mode, without gradient."""

    def supervised(self, output: Any, label: Tensor) -> Tensor:
        """The recipe's criterion on labelled images."""

    def targets(self, logits: Tensor) -> Tensor:
        """Normally the identity.

        All pseudo-labels must pass through here, so that controls can replace the predictions.

        `logits`: those of this step's unlabelled images, in the order of the batch, before any mixing.
        """

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, without gradient."""

    def global_mean(self, total: Tensor, count: Tensor) -> Tensor:
        """Ratio of the two sums over all processes; 0 if the count is 0."""


class Method:
    """One method; a subclass contains the mathematics, and declares what the engine must provide."""

    class Options(MethodOptions):
        pass

    title: ClassVar[str] = ""  # name in tables and plots; "": the name of the file
    year: ClassVar[int] = 9999  # year of the paper; methods are listed by year
    fidelity: ClassVar[Fidelity] = ""
    # Whether labelled and unlabelled images share the student's batch statistics. This is the official behaviour, which
    # `recipe.batch_norm` can replace.
    batch_norm: ClassVar[Literal["joint", "separate"]] = "joint"
    passes: Passes = Passes(1, 2, 1)  # used by `semiseg plan`
    reports: Literal["student", "teacher"] = "student"
    needs_teacher: bool = False
    networks: ClassVar[int] = 1
    variant_names: ClassVar[dict[str, dict[str, Any]]] = {}
    tuned: ClassVar[dict[str, Range]] = EVERY_METHOD  # ranges for tuning

    def __init__(self, options: MethodOptions, setting: Setting) -> None:
        self.options: Any = options
        self.setting = setting

    @classmethod
    def check(cls, options: Any, setting: Setting) -> None:
        """Raise UserError("option: problem") for options that make no sense in this setting.

        Called before any training.
        """

    @classmethod
    def needs_unlabelled(cls, options: Any) -> bool:
        """False if the method can be trained with all labels and no unlabelled images."""
        return True

    @classmethod
    def as_dear_as_any(cls, options: Any) -> bool:
        """True if the training is prolonged until it costs as much as the suite's most expensive method."""
        return False

    @classmethod
    def needs(cls, options: Any) -> dict[str, Needed]:
        """Runs that must be finished before this one; the keys are the names that this method uses."""
        return {}

    @property
    def snapshots(self) -> tuple[float, ...]:
        """Shares of the training after which the student's weights are kept as well, for runs that need this run."""
        return ()

    def labels(self, needed: Mapping[str, NeededRun], ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray]] | None:
        """Labels of unlabelled images from the needed runs, made once before the training; None: no such labels.

        Images without a label are left out of the training.
        """
        return None

    @property
    def uses_unlabelled(self) -> bool:
        """False if no step uses unlabelled images; then none are read."""
        return True

    @property
    def head(self) -> Literal["pixel", "mask"]:
        return "pixel"

    @property
    def confidence(self) -> float | None:
        """Threshold on the largest softmax probability for confident pixels; None: all pixels are confident."""
        return getattr(self.options, "confidence", None)

    def confident(
        self,
        logits: Tensor,
        auxiliary: Callable[[Tensor], Tensor] | None = None,
        buffers: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Mask [B,H,W] of the pixels with a pseudo-label that the method would use; only the diagnostics need it."""
        return logits.float().softmax(1).amax(1) >= (self.confidence or 0.0)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Named, weighted losses of the student; the engine adds them up, backpropagates and steps."""
        raise NotImplementedError

    def owned(self, channels: Channels) -> dict[str, nn.Module]:
        """Additional modules of the student: trained with the head's learning rate, and averaged into the teacher."""
        return {}

    def buffers(self) -> dict[str, Tensor]:
        """Initial values of tensors that persist between steps, without gradient and without averaging."""
        return {}

    def auxiliary(self) -> nn.Module | None:
        """A discriminator, frozen during `losses`; its optimiser uses the options `lr_d`, `betas_d`, `power_d`."""
        return None

    def auxiliary_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Named losses of the discriminator, called after `losses` of the same step."""
        return {}


REGISTRY = Registry("method", "semiseg.methods", Method, not_entries=("method",))
names, load = REGISTRY.names, REGISTRY.load


def check(kind: type[Method], options: Any, setting: Setting) -> None:
    """The check of the method, and checks that hold for every method."""
    if getattr(options, "control", "none") == "shuffled" and setting.batch < 2:
        raise UserError(
            "control: shuffled gives each image the prediction of another image, but a step has one image at once; "
            "raise batch.unlabelled or lower accumulate"
        )
    kind.check(options, setting)


def of_run(config: Mapping[str, Any], classes: int = 0) -> Method:
    """The method of a run's configuration, with its options."""
    kind = load(config["method"]["name"])
    options = kind.Options.model_validate(config["method"]["options"])
    return kind(options, Setting.of(config["recipe"], config["dataset"]["kind"], classes))
