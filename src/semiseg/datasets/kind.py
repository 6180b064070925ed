"""A kind of data set: how to read and download its files, and what is known before they are present."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from semiseg.base.errors import UserError
from semiseg.base.registry import Registry
from semiseg.base.strict import Strict

if TYPE_CHECKING:
    from semiseg.datasets.dataset import Dataset
    from semiseg.datasets.dataset_config import DatasetConfig

AFFECTS_RESULTS = False  # the files of the kinds count as part of the data

Say = Callable[[str], None]


class NoOptions(Strict):
    """The options of kinds that have none."""


class Kind:
    """One kind; a subclass reads its files and declares the properties of all data sets of this kind."""

    Options: ClassVar[type[Strict]] = NoOptions  # the block `options` of a data set of this kind
    counts: ClassVar[dict[str, int]] = {}  # images of the complete data set, by subset
    sizes: ClassVar[dict[str, tuple[int, int]]] = {}  # typical height and width by subset, for estimates of time
    has_test_set: ClassVar[bool] = False
    background: ClassVar[int | None] = None  # the class of pixels outside of all other classes
    restricted: ClassVar[bool] = False  # the terms do not allow redistribution of images
    own: ClassVar[bool] = False  # the user's images: a user's file names the classes, and the user can correct errors
    extra_by_default: ClassVar[bool] = False  # images without a mask join the unlabelled pool unless `extra: false`
    literature: ClassVar[str] = ""  # the name of this data set in published lists
    place: ClassVar[str] = "{}"  # the file or folder that defines a subset

    @classmethod
    def read(cls, name: str, config: DatasetConfig, source: Path, prepared: Path) -> Dataset:
        """The samples of every subset; `prepared` is the folder of files made from the sources."""
        raise UserError(f"{name}: the kind of data set {config.kind} ({cls.__name__}) must define the method `read`")

    @classmethod
    def has_test(cls, config: DatasetConfig) -> bool:
        return cls.has_test_set

    @classmethod
    def expected(cls, config: DatasetConfig) -> dict[str, int]:
        """Images by subset that the complete data set must have; empty if any number is right."""
        return cls.counts

    @classmethod
    def pool(cls, config: DatasetConfig) -> int | None:
        """Number of labelled training images of the complete data set, known before the files are present."""
        return cls.expected(config).get("train")

    @classmethod
    def reference_list(cls, config: DatasetConfig, subset: str) -> str:
        """The partition of the family `reference` with the ids of this subset."""
        return subset

    @classmethod
    def parts(cls, config: DatasetConfig) -> set[str]:
        """The optional archives of sources.yaml that this configuration needs."""
        return set()

    @classmethod
    def get(cls, name: str, config: DatasetConfig, root: Path, say: Say, **options: Any) -> None:
        """Bring the sources to data/<name>/raw; by default from the archives that sources.yaml lists for the kind."""
        from semiseg.datasets.get.fetching import get_archives

        get_archives(name, config.kind, cls.parts(config), root, say, **options)

    @classmethod
    def complete(cls, name: str, config: DatasetConfig, root: Path, say: Say) -> None:
        """Make files that are not among the sources; called after `get`."""

    @classmethod
    def inputs(cls, config: DatasetConfig) -> tuple[Path | None, ...]:
        """Files outside of the sources that determine samples or labels."""
        return ()


REGISTRY = Registry("kind of data set", "semiseg.datasets.kinds", Kind)


def kind_of(config: DatasetConfig) -> type[Kind]:
    return REGISTRY.load(config.kind)


class OwnKind(Kind):
    """A kind with sources from the user."""

    @classmethod
    def get(cls, name: str, config: DatasetConfig, root: Path, say: Say, **options: Any) -> None:
        raise UserError(f"the data set {name} has no download: set data_root to its folder")
