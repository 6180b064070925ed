"""The schema of params.yaml: suites, their methods and ablations, and the file as a whole.

The blocks `recipe`, `evaluation` and `tune` of a suite have separate modules.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from semiseg.base.strict import Strict
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.params.evaluation import Evaluation
from semiseg.params.origin import Origin
from semiseg.params.recipe import Recipe
from semiseg.params.tune import Tune


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
        description="shares (1/8), numbers of images (92), `full`, or names of your own lists (letters, digits, `.`, "
        "`_`, `-`)"
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
        ("default",),
        description="names of variants, or the changes of each: options, and keys of the recipe (`recipe.batch_norm`)",
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
    vary: dict[str, list[Any]] = Field(
        {}, description="one option, or key of the recipe (`recipe.batch_norm`), and its values"
    )
    arms: dict[str, dict[str, Any]] = Field(
        {}, description="name of each arm -> its changes, as of a variant; the key `method` takes another method"
    )
    seeds: Annotated[tuple[int, ...] | None, AfterValidator(_seeds)] = Field(
        None, description="seeds of the ablation, with paired lists on the list of each seed; null: those of the suite"
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
        for name, ablation in self.ablations.items():
            if self.splits.paired and (other := set(ablation.seeds or ()) - set(self.seeds)):
                raise ValueError(
                    f"the ablation {name} has the seeds {sorted(other)}, which have no list; with splits.paired each "
                    "seed of an ablation must be a seed of the suite"
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
        if empty := [name for name, entry in value.items() if isinstance(entry, list | tuple) and not entry]:
            raise ValueError(f"{empty[0]} has an empty list; write {{}} for the default variant")
        return {name: entry if isinstance(entry, list | tuple) else [entry] for name, entry in value.items()}


class Params(Strict):
    suite: str = Field(description="the suite that commands take without `--suite`")
    dataset: str = Field("", description="data set whose manifest DVC tracks")
    plugins: tuple[str, ...] = Field(
        (), description="Python files that add methods, kinds of data set, architectures or metrics"
    )
    datasets: dict[str, DatasetConfig] = Field(description="name -> data set")
    methods: dict[str, dict[str, Any]] = Field({}, description="options of each method in all suites")
    suites: dict[str, Suite] = Field(description="name -> suite")
    _origin: Origin | None = PrivateAttr(None)

    def at(self, path: str) -> str:
        """`params.local.yaml: suites.mine.methods.fixmatch`, with the file that holds the key; for messages."""
        return self._origin.at(*path.split(".")) if self._origin else f"params.yaml: {path}"
