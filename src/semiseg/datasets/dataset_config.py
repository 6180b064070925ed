"""The configuration of a data set in params.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from semiseg.base.explain import explain, nearest
from semiseg.base.strict import Strict
from semiseg.datasets.kind import REGISTRY


class DatasetConfig(Strict):
    """One data set: its kind, its path, and which parts of it are used."""

    kind: str = Field(
        description="pocket, voc, cityscapes, cityscapes_mini, camvid, oxford_pets, folder, or one of a plugin"
    )
    data_root: Path | None = Field(None, description="an existing copy, used in place; default `data/<name>/raw`")
    train_list: Literal["train_aug", "train"] | None = Field(
        None, description="pool of training images; VOC: train_aug (default, with SBD) or train"
    )
    extra: bool = Field(
        False, description="images without masks join the unlabelled pool: Cityscapes' train_extra; on for folder"
    )
    redistributable: bool = Field(False, description="images and masks may appear in a committed or exported report")
    complete: bool = Field(
        True, description="false: the official counts are not expected (an own part of the data set)"
    )
    classes_file: Path | None = Field(None, description="folder: default `<data_root>/classes.yaml`")
    val_list: Path | None = Field(None, description="folder: text file, one id or file name per line")
    val_share: float = Field(
        0.2, ge=0, lt=1, description="folder: share of the labelled images, if there is no val_list"
    )
    test_list: Path | None = Field(None, description="folder: as val_list")
    test_share: float = Field(0.0, ge=0, lt=1, description="folder: as val_share")
    split_seed: int = Field(0, ge=0, description="folder: which images the shares pick")
    group_pattern: str | None = Field(
        None,
        description="folder: regular expression on the id; images with the same match (group 1 if any) stay together",
    )

    options: dict[str, Any] = Field({}, description="what only this kind of data set knows")

    @model_validator(mode="before")
    @classmethod
    def _own_images_count(cls, value: Any) -> Any:
        """A user's images without masks are used by default."""
        if isinstance(value, dict) and value.get("kind") in REGISTRY.names():
            return {"extra": REGISTRY.load(value["kind"]).extra_by_default, **value}
        return value

    @field_validator("kind")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in REGISTRY.names():
            raise ValueError(f"unknown kind of data set{nearest(name, REGISTRY.names())}")
        return name

    @field_validator("group_pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from error
        return value

    @model_validator(mode="after")
    def _terms(self) -> DatasetConfig:
        kind = REGISTRY.load(self.kind)
        try:
            kind.Options.model_validate(self.options)
        except ValidationError as error:
            raise ValueError(explain(error, kind.Options, self.kind, "options")) from None
        if self.redistributable and kind.restricted:
            raise ValueError(f"redistributable must be false for {self.kind}: its terms do not allow to pass images on")
        if self.val_share + self.test_share >= 1:
            raise ValueError("val_share and test_share leave no image for training")
        return self
