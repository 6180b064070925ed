"""classes.yaml of a user's folder: names, mask values or colours, and ignored values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from semiseg.base.errors import UserError
from semiseg.base.explain import nearest
from semiseg.base.labels import IGNORE, voc_palette
from semiseg.base.yaml_loader import UniqueKeys
from semiseg.datasets.dataset import MaskCoding, read_class_names
from semiseg.datasets.reading.folder_masks import FolderMasks
from semiseg.datasets.reading.masks import MAX_CLASSES, ColourMasks, IndexMasks

EXAMPLES = {
    "masks": "masks: index",
    "background": "background: soil",
    "tolerance": "tolerance: 40",
    "classes": "classes: [{name: soil, value: 0}, {name: crop, value: 1}]",
    "name": "{name: crop, value: 1}",
    "value": "{name: crop, value: 1}",
    "colour": "{name: crop, colour: [0, 160, 0]}, or colour: '#00a000'",
    "ignore": "ignore: [255], or for masks in colour ignore: [[128, 128, 128]]",
}
WHOLE = "masks: index\nclasses:\n  - {name: soil, value: 0}\n  - {name: crop, value: 1}\nignore: [255]"
UNKNOWN = ("extra_forbidden", "invalid_key")  # invalid_key: one that is no text, such as 3


def _rgb(value: Any) -> Any:
    """A colour as numbers; `#00a000` is accepted, too."""
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        return tuple(bytes.fromhex(value[1:]))
    return value


Byte = Annotated[int, Field(ge=0, le=255)]
Colour = Annotated[tuple[Byte, Byte, Byte], BeforeValidator(_rgb)]
Value = Annotated[int, Field(ge=0, le=65535)]


class ClassEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    value: Value | None = Field(None, description="value in index masks; default: the position in the list")
    colour: Colour | None = Field(None, description="colour in colour masks; for index masks only for display")

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class ClassesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    masks: Literal["index", "colour"]
    classes: list[ClassEntry] = Field(min_length=2, max_length=MAX_CLASSES)
    ignore: list[Value | Colour] = [IGNORE]
    background: str | None = Field(None, description="LabelMe and COCO: the class outside of all shapes; null: ignored")
    tolerance: int = Field(
        0, ge=0, le=442, description="largest distance to the value or colour that a pixel counts as"
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_list(cls, value: Any) -> Any:
        """A list of names: index masks, the first name for 0."""
        return {"masks": "index", "classes": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _consistent(self) -> ClassesFile:
        names = [entry.name for entry in self.classes]
        _distinct("name", names)
        if self.background is not None and self.background not in names:
            raise ValueError(f"background is {self.background!r}, which is no class{nearest(self.background, names)}")
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
        """The ignored values; by default 255, unless a class has this value."""
        claimed = set(self.index_values())
        return [
            v for v in self.ignore if isinstance(v, int) and ("ignore" in self.model_fields_set or v not in claimed)
        ]

    def ignored_colours(self) -> list[tuple[int, int, int]]:
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
    notes: tuple[str, ...] = ()


def read_classes(path: Path) -> Classes:
    """classes.yaml, or classes.txt with lines `index name` for index masks with 255 as ignore."""
    if path.suffix == ".txt":
        names = read_class_names(path)
        return Classes(names, voc_palette(len(names)), FolderMasks(IndexMasks.plain(len(names)), names))
    return _from_file(_parse(path))


def _parse(path: Path) -> ClassesFile:
    try:
        with path.open(encoding="utf-8") as stream:
            content = yaml.load(stream, Loader=UniqueKeys)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error})") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-13-01
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict | list):
        raise UserError(f"{path} holds {_found(content)}, expected keys and lists such as\n{WHOLE}")
    try:
        return ClassesFile.model_validate(content)
    except ValidationError as error:
        # A misspelt key is the reason why another one is missing.
        problems = sorted(error.errors(), key=lambda one: one["type"] not in UNKNOWN)
        raise UserError(f"{path}: {_sentence(problems[0])}") from error


def _sentence(problem: dict[str, Any]) -> str:
    """A message with the value found and a valid example, without terms of the validation library."""
    location = problem["loc"]
    keys = [part for part in location if part in EXAMPLES]
    key = keys[-1] if keys else None
    place = _place(location)
    if problem["type"] == "value_error":
        return problem["msg"].removeprefix("Value error, ")
    if problem["type"] in UNKNOWN:
        known = ClassesFile.model_fields if len(location) == 1 else ClassEntry.model_fields
        meant = next(iter(get_close_matches(str(location[-1]), known, n=1)), None)
        example = _example(meant) if meant else _example(None if len(location) == 1 else "classes")
        return f"{place} is an unknown key{nearest(str(location[-1]), known)}{example}".replace("?; write", "? Write")
    if problem["type"] == "missing" and location[-1] in EXAMPLES:
        return f"{place} is missing{_example(key)}"
    if problem["type"] in ("too_short", "too_long") and location == ("classes",):
        count = len(problem["input"])
        entries = "1 entry" if count == 1 else f"{count} entries"
        return f"{place} has {entries}; between 2 and {MAX_CLASSES} are possible{_example(key)}"
    value = problem["input"]
    if _names_class(location) and isinstance(value, bool | int | float | date):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f"{place} is {text}, but a name is text; write '{text}' in quotes, for example `{{name: '{text}'}}`"
    return f"{place} is {_found(value)}{_example(key)}"


def _example(key: str | None) -> str:
    return f"; write for example `{EXAMPLES[key]}`" if key else f"; write for example\n{WHOLE}"


def _names_class(location: tuple[Any, ...]) -> bool:
    """Whether the place is the name of a class: its key, or an entry of a list of names."""
    return location[:1] == ("classes",) and (len(location) == 2 or location[2:] == ("name",))


def _place(location: tuple[Any, ...]) -> str:
    """`colour of class 3 in the list`, counted from 1."""
    if not location:
        return "the file"
    if location[0] == "classes" and len(location) > 1:
        entry = f"class {location[1] + 1} of the list" if isinstance(location[1], int) else "classes"
        return f"`{location[2]}` of {entry}" if len(location) > 2 else entry
    return f"`{location[0]}`"


def _found(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _from_file(file: ClassesFile) -> Classes:
    names = tuple(entry.name for entry in file.classes)
    standard = voc_palette(len(names))
    palette = tuple(entry.colour or standard[k] for k, entry in enumerate(file.classes))
    outside = IGNORE if file.background is None else names.index(file.background)
    coloured = sum(entry.colour is not None for entry in file.classes) if file.masks == "index" else 0
    which = "the colour of 1 class is" if coloured == 1 else f"the colours of {coloured} classes are"
    notes = (f"{which} for display only: masks are index, and values decide",)
    return Classes(names, palette, FolderMasks(_pixels(file), names, outside), notes if coloured else ())


def _pixels(file: ClassesFile) -> IndexMasks | ColourMasks:
    if file.masks == "colour":
        pairs = [(entry.colour, k) for k, entry in enumerate(file.classes)]
        pairs += [(colour, IGNORE) for colour in file.ignored_colours()]
        return ColourMasks(tuple(pairs), file.tolerance)
    values = [(value, k) for k, value in enumerate(file.index_values())]
    values += [(value, IGNORE) for value in file.ignored_values()]
    return IndexMasks(tuple(values), file.tolerance)
