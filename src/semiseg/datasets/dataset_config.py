"""What params.yaml says about a data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from semiseg.base.strict import Strict

Kind = Literal["pocket", "voc", "cityscapes", "camvid", "folder"]
# Terms of the sources: nothing of these images or masks may leave the user's machine.
RESTRICTED = ("voc", "cityscapes", "camvid")


class DatasetConfig(Strict):
    """One data set: its kind, where it lies and which parts of it are used."""

    kind: Kind
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

    @model_validator(mode="before")
    @classmethod
    def _own_images_count(cls, value: Any) -> Any:
        """A user who puts images without masks into a folder wants them used."""
        if isinstance(value, dict) and value.get("kind") == "folder":
            return {"extra": True, **value}
        return value

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
        if self.redistributable and self.kind in RESTRICTED:
            raise ValueError(f"redistributable must be false for {self.kind}: its terms do not allow to pass images on")
        if self.kind == "folder" and self.val_share + self.test_share >= 1:
            raise ValueError("val_share and test_share leave nothing to train on")
        return self
