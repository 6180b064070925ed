"""classes.yaml of a user's folder: names, mask values or colours, and what is ignored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semiseg.base.errors import UserError
from semiseg.base.labels import IGNORE, voc_palette
from semiseg.datasets.dataset import MaskCoding, read_class_names
from semiseg.datasets.masks import MAX_CLASSES, ColourMasks, IndexMasks

Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Byte, Byte, Byte]
Value = Annotated[int, Field(ge=0, le=65535)]


class ClassEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    value: Value | None = Field(None, description="value in index masks; default: the position in the list")
    colour: Colour | None = Field(None, description="colour in colour masks; for index masks only for display")


class ClassesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    masks: Literal["index", "colour"]
    classes: list[ClassEntry] = Field(min_length=2, max_length=MAX_CLASSES)
    ignore: list[Value | Colour] = [IGNORE]

    @model_validator(mode="after")
    def _consistent(self) -> ClassesFile:
        _distinct("name", [entry.name for entry in self.classes])
        if self.masks == "index":
            if any(not isinstance(mark, int) for mark in self.ignore):
                raise ValueError("ignore holds a colour, but masks are index: give values")
            _distinct("value", [*self.index_values(), *self.ignored_values()])
        else:
            if any(entry.colour is None for entry in self.classes):
                raise ValueError("masks are colour: every class needs its colour [red, green, blue]")
            _distinct("colour", [*(entry.colour for entry in self.classes), *self.ignored_colours()])
        return self

    def index_values(self) -> list[int]:
        return [k if entry.value is None else entry.value for k, entry in enumerate(self.classes)]

    def ignored_values(self) -> list[int]:
        """255 by default only where no class claims it."""
        claimed = set(self.index_values())
        return [
            v for v in self.ignore if isinstance(v, int) and ("ignore" in self.model_fields_set or v not in claimed)
        ]

    def ignored_colours(self) -> list[Colour]:
        return [mark for mark in self.ignore if not isinstance(mark, int)]


def _distinct(what: str, values: list) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"the {what} {value} occurs twice")


@dataclass(frozen=True)
class Classes:
    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    coding: MaskCoding


def read_classes(path: Path) -> Classes:
    """classes.yaml, or classes.txt with lines `index name` for index masks with 255 as ignore."""
    if path.suffix == ".txt":
        names = read_class_names(path)
        return Classes(names, voc_palette(len(names)), IndexMasks.plain(len(names)))
    return _from_file(_parse(path))


def _parse(path: Path) -> ClassesFile:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())})") from error
    try:
        return ClassesFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from error


def _from_file(file: ClassesFile) -> Classes:
    names = tuple(entry.name for entry in file.classes)
    standard = voc_palette(len(names))
    palette = tuple(entry.colour or standard[k] for k, entry in enumerate(file.classes))
    if file.masks == "colour":
        pairs = [(entry.colour, k) for k, entry in enumerate(file.classes)]
        pairs += [(colour, IGNORE) for colour in file.ignored_colours()]
        return Classes(names, palette, ColourMasks(tuple(pairs)))
    values = [(value, k) for k, value in enumerate(file.index_values())]
    values += [(value, IGNORE) for value in file.ignored_values()]
    return Classes(names, palette, IndexMasks(tuple(values)))
