"""The schema of params.yaml: every block, its keys and their types, and what one block can check by itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from semiseg.base.strict import Strict
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.models.network_config import NetworkConfig
from semiseg.params.tune import Tune

SMALLEST_CROP = 32  # encoders and the discriminator halve their input five times


def _at_least(least: int, size: tuple[int, int]) -> tuple[int, int]:
    if min(size) < least:
        raise ValueError(f"expected a side, or [height, width], of at least {least} pixels, found {list(size)}")
    return size


class Batch(Strict):
    """Global batch sizes: the number of GPUs does not change them."""

    labelled: int = Field(ge=1, description="labelled images in a step")
    unlabelled: int = Field(ge=1, description="unlabelled images in a step")


class Optimiser(Strict):
    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(gt=0, description="initial learning rate of the encoder")
    head_lr_multiplier: float = Field(
        1.0, gt=0, description="factor on the learning rate of everything but the encoder"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    nesterov: bool = Field(False, description="Nesterov momentum, for SGD")
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["poly", "cosine", "constant"] = "poly"
    power: float = Field(0.9, gt=0, description="poly: lr (1 - k / n)^power; k, n count iterations after the warm-up")
    warmup: int = Field(0, ge=0, description="iterations of linear warm-up: lr (k + 1) / warmup")
    clip: float | None = Field(None, gt=0, description="gradients are scaled down to this norm; null: never")
    accumulate: int = Field(
        1,
        ge=1,
        description="parts that a batch is cut into: each is treated as a batch, and their gradients are averaged",
    )


class Criterion(Strict):
    """The supervised loss; the auxiliary head's weight applies where the network has one."""

    name: Literal["cross_entropy", "ohem", "boundary_relaxed"] = "cross_entropy"
    threshold: float = Field(
        0.7, gt=0, lt=1, description="ohem: a pixel is hard if the probability of its true class is lower"
    )
    min_kept: int = Field(100_000, ge=0, description="ohem: smallest number of pixels in a batch that count")
    auxiliary_weight: float = Field(0.4, ge=0, description="weight of the auxiliary head's loss")
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        "none", description="weight by class name (default 1), or `balanced`: sqrt(median frequency / class frequency)"
    )
    dice: float = Field(0.0, ge=0, description="weight of an additional soft Dice loss; pixel heads only")


class Augment(Strict):
    """Geometry of the weak view and strength of the strong views; the same for every method."""

    scale: tuple[float, float] = Field((0.5, 2.0), description="range of the random scale, before the crop")
    flip: bool = Field(True, description="mirror half of the images")
    strength: float = Field(
        1.0, ge=0, le=1, description="1: strong views as published; below 1, they are blended with the weak view"
    )

    @field_validator("scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("expected [low, high] with 0 < low <= high")
        return value


class Ema(Strict):
    decay: float = Field(0.99, ge=0, lt=1, description="share of the teacher's weights that is kept in each step")
    warm_start: bool = Field(True, description="use min(1 - 1/(iteration + 1), decay) as the decay")


class Engine(Strict):
    """Speed options. `plain` switches all of them off: fp32, no compilation, default memory layout."""

    plain: bool = False
    precision: Literal["auto", "bf16", "tf32", "fp32"] = Field(
        "auto",
        description="precision of matrix products; auto: bf16 if the GPU supports it, else TF32 if it does, else fp32",
    )
    compile: bool = Field(True, description="use torch.compile, on GPUs only")
    deterministic: bool = Field(
        False, description="on GPUs: give the same bits in every execution, which is slower (engine.md)"
    )


class Recipe(Strict):
    network: NetworkConfig
    crop: tuple[int, int] = Field(description="side, or height and width, of the training crop in pixels")
    batch: Batch
    iterations: int = Field(ge=1, description="training steps, the same for every method")
    optimiser: Optimiser
    # A transformer that classifies masks needs a different learning rate from a convolution.
    mask_head_optimiser: Optimiser | None = Field(
        None, description="replaces `optimiser` for networks with a mask head; null: they use `optimiser`"
    )
    criterion: Criterion = Criterion()
    augment: Augment = Augment()
    ema: Ema | None = Field(
        Ema(), description="averaging of the teacher's weights; null: no teacher, for methods that need none"
    )
    engine: Engine = Engine()
    # `joint` and `separate` hold for all methods; `official` follows each method's published code (docs/methods).
    batch_norm: Literal["official", "joint", "separate"] = Field(
        "official",
        description="joint: labelled and unlabelled images share a forward pass and its batch statistics; separate: "
        "they do not; official: as in the method's own code",
    )
    gpus: int = Field(1, ge=1, description="GPUs of one training, all on one node; the batch is divided among them")

    @field_validator("crop", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, int) else value

    @field_validator("crop")
    @classmethod
    def _an_area(cls, value: tuple[int, int]) -> tuple[int, int]:
        return _at_least(SMALLEST_CROP, value)

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        for key in ("optimiser", "mask_head_optimiser"):
            optimiser = getattr(self, key)
            if optimiser is not None:
                self._check_optimiser(key, optimiser)
        return self

    def _check_optimiser(self, key: str, optimiser: Optimiser) -> None:
        if optimiser.warmup >= self.iterations:
            raise ValueError(f"{key}.warmup ({optimiser.warmup}) must be below iterations ({self.iterations})")
        for name in ("labelled", "unlabelled"):
            size, parts = getattr(self.batch, name), self.gpus * optimiser.accumulate
            if size % parts:
                raise ValueError(f"batch.{name} ({size}) must be a multiple of gpus x accumulate ({parts})")


class Protocol(Strict):
    """How an image is turned into a label map; stored with every result."""

    name: Literal["whole", "sliding", "centre_crop", "padded"] = "whole"
    size: tuple[int, int] | None = Field(None, description="size of the window, the crop or the padded image")
    stride: float = Field(2 / 3, gt=0, le=1, description="sliding: step as a share of the window")
    border: Literal["truncate", "shift"] = Field(
        "truncate", description="sliding: a window that crosses the border is cut (truncate) or moved inside (shift)"
    )
    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1.0,), min_length=1, description="scales of the image whose predictions are averaged"
    )
    flip: bool = Field(False, description="average with the prediction for the mirrored image")

    @field_validator("size", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, int) else value

    @field_validator("size")
    @classmethod
    def _an_area(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        return value if value is None else _at_least(1, value)

    @model_validator(mode="after")
    def _sized(self) -> Protocol:
        if self.name != "whole" and self.size is None:
            raise ValueError(f"protocol {self.name} needs size")
        return self


class Evaluation(Strict):
    every: int = Field(ge=1, description="iterations from one evaluation to the next")
    evaluated_on: Literal["val", "test"] = Field("val", description="set whose scores the tables show")
    selected_on: Literal["val"] | None = Field(
        "val", description="set that selects the evaluation `best`; null: no selection"
    )
    lastk: int = Field(3, ge=1, description="number of last evaluations that `lastk` averages")
    protocol: Protocol = Protocol()
    batch: int = Field(1, ge=1, description="images in an evaluation batch")
    diagnostics: int = Field(
        64, ge=0, description="unlabelled images whose hidden masks measure the quality of the pseudo-labels"
    )
    pictures: int = Field(8, ge=0, description="images whose predictions are stored for the report")


class Runtime(Strict):
    """Settings that affect how a run executes but never its result; not part of a run's spec."""

    log_every: int = Field(20, ge=1, description="iterations between two lines of the log")
    checkpoint_every: int = Field(
        500, ge=1, description="iterations between two checkpoints; a stop signal causes one more"
    )
    workers: int = Field(0, ge=0, description="reading threads; 0: the training thread reads")
    short_minutes: float = Field(10, ge=0, description="trainings that are estimated to be shorter share a cluster job")


class Splits(Strict):
    family: tuple[str, ...] = Field(description="one family of lists, or several (see below)")
    partitions: tuple[str, ...] = Field(
        description="shares (1/8), numbers of images (92), `full`, or names of your own lists"
    )
    paired: bool = Field(
        False,
        description="true: the k-th seed trains on the lists of the k-th family, instead of every seed on every list; "
        "n trainings then vary both",
    )

    @field_validator("family", "partitions", mode="before")
    @classmethod
    def _list_of_names(cls, value: Any) -> Any:
        values = value if isinstance(value, list | tuple) else [value]
        return tuple(str(one) if isinstance(one, int) else one for one in values)

    @model_validator(mode="after")
    def _distinct(self) -> Splits:
        for name in ("family", "partitions"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must be a list of distinct names, found {list(values)}")
        return self


class MethodEntry(Strict):
    """A method in a suite: its partitions, variants and options that differ from the defaults."""

    at: tuple[str, ...] | None = Field(None, description="partitions where it runs; null: all of the suite")
    variants: tuple[str | dict[str, Any], ...] = Field(
        ("default",), description="names of variants, or the options of each"
    )
    options: dict[str, Any] = Field({}, description="options of all variants")

    @field_validator("at", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return value if value is None else Splits._list_of_names(value)


def _seeds(seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Seeds are distinct, because a repeated run is no second seed, and not negative: they name folders."""
    if seeds and min(seeds) < 0:
        raise ValueError(f"expected seeds of 0 and more, found {list(seeds)}")
    if seeds and len(set(seeds)) < len(seeds):
        raise ValueError(f"expected distinct seeds, found {list(seeds)}")
    return seeds


class Ablation(Strict):
    """Arms of one method at one partition: `vary` one option, or name each arm's options."""

    method: str
    at: str = Field(description="partition of the ablation")
    vary: dict[str, list[Any]] = Field({}, description="one option and its values")
    arms: dict[str, dict[str, Any]] = Field(
        {}, description="name of each arm -> its options; the key `method` takes another method"
    )
    seeds: Annotated[tuple[int, ...] | None, AfterValidator(_seeds)] = Field(
        None, description="seeds of the ablation; null: those of the suite"
    )
    title: str = Field("", description="title of its table")

    @field_validator("at", mode="before")
    @classmethod
    def _name(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _one_way(self) -> Ablation:
        if bool(self.vary) == bool(self.arms) or len(self.vary) > 1:
            raise ValueError("give either vary: {option: [values]} with one option, or arms: {name: {option: value}}")
        return self


class Suite(Strict):
    title: str = Field("", description="heading of its tables")
    dataset: str
    splits: Splits
    seeds: Annotated[tuple[int, ...], AfterValidator(_seeds)] = Field(
        min_length=1, description="one training for each seed"
    )
    recipe: Recipe
    evaluation: Evaluation
    runtime: Runtime = Runtime()
    methods: dict[str, tuple[MethodEntry, ...]] = Field(
        description="method -> one block or a list of blocks; or a list of method names"
    )
    ablations: dict[str, Ablation] = {}
    tune: Tune | None = Field(
        None, description="tuning with the same number of trials for every method; null: no tuning"
    )

    @model_validator(mode="after")
    def _pairs(self) -> Suite:
        families = len(self.splits.family)
        if self.splits.paired and families != len(self.seeds):
            raise ValueError(
                f"splits.paired gives each family one seed, but there are {families} families and "
                f"{len(self.seeds)} seeds; give as many of both"
            )
        return self

    block: int | None = Field(
        None,
        ge=1,
        description="neighbouring images of a group that the bootstrap draws together; null: the whole group",
    )

    @field_validator("methods", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """A method usually has one entry; a list of entries assigns variants to different partitions."""
        if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
            value = {name: {} for name in value}
        if not isinstance(value, dict):
            return value
        return {name: entry if isinstance(entry, list | tuple) else [entry] for name, entry in value.items()}


class Params(Strict):
    suite: str
    dataset: str = Field("", description="data set whose manifest DVC tracks")
    plugins: tuple[str, ...] = Field(
        (), description="Python files that add methods, kinds of data set, architectures or metrics"
    )
    datasets: dict[str, DatasetConfig]
    methods: dict[str, dict[str, Any]] = Field({}, description="options of each method in all suites")
    suites: dict[str, Suite]
