"""The block `recipe` of a suite: network, batch, optimiser, losses and augmentation, the same for all methods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from semiseg.base.strict import Strict
from semiseg.models.network_config import NetworkConfig
from semiseg.params.sides import sides

SMALLEST_CROP = 32  # encoders and the discriminator halve their input five times


class Batch(Strict):
    """Global batch sizes: the number of GPUs does not change them."""

    labelled: int = Field(ge=1, description="labelled images in a step")
    unlabelled: int = Field(ge=1, description="unlabelled images in a step")


class Optimiser(Strict):
    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(gt=0, description="base learning rate of the encoder")
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
        False, description="on GPUs: deterministic algorithms only, which are slower (engine.md)"
    )


class Recipe(Strict):
    network: NetworkConfig
    crop: sides(SMALLEST_CROP) = Field(description="side, or height and width, of the training crop in pixels")
    batch: Batch
    iterations: int = Field(ge=1, description="training steps, the same for every method but `strong_long`")
    optimiser: Optimiser
    # A transformer that classifies masks needs a different learning rate from a convolution.
    mask_head_optimiser: Optimiser | None = Field(
        None, description="replaces `optimiser` for networks with a mask head; null: they use `optimiser`"
    )
    criterion: Criterion = Criterion()
    augment: Augment = Augment()
    ema: Ema | None = Field(
        Ema(),
        description="averaging of the student's weights into the teacher; null: no teacher, for methods that need none",
    )
    engine: Engine = Engine()
    # `joint` and `separate` hold for all methods; `official` follows each method's published code (docs/methods).
    batch_norm: Literal["official", "joint", "separate"] = Field(
        "official",
        description="joint: labelled and unlabelled images share a forward pass and its batch statistics; separate: "
        "they do not; official: as in the method's own code, or as its page says",
    )
    gpus: int = Field(1, ge=1, description="GPUs of one training, all on one node; the batch is divided among them")

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
