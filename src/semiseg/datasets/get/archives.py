"""sources.yaml: the archives of the data sets, with their sizes and hashes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from semiseg.base.errors import UserError
from semiseg.base.strict import Strict

Algorithm = Literal["sha256", "sha1", "md5"]


class KnownHash(Strict):
    algorithm: Algorithm
    value: str = Field(pattern=r"^[0-9a-f]{32,64}$")
    read_in: str


class KnownSize(Strict):
    value: int = Field(gt=0)
    read_in: str


class Limits(Strict):
    """Limits of one archive; a larger one is an attack or the wrong file."""

    bytes: int = Field(gt=0)
    files: int = Field(gt=0)


class Archive(Strict):
    file: str
    urls: tuple[str, ...]
    bytes: KnownSize | None
    hashes: tuple[KnownHash, ...] | None
    products: tuple[str, ...] = Field(min_length=1)
    strip: int = Field(0, ge=0)
    part: str | None = None
    most: Limits


class Source(Strict):
    terms: str
    instructions: str | None = None
    archives: tuple[Archive, ...]


@cache
def load_sources(path: Path = Path(__file__).parent / "sources.yaml") -> dict[str, Source]:
    return {kind: Source.model_validate(value) for kind, value in yaml.safe_load(path.read_text()).items()}


def source_of(kind: str, path: Path | None = None) -> Source:
    sources = load_sources(path) if path else load_sources()
    if kind not in sources:
        raise UserError(f"there is nothing to download for a data set of kind {kind}; kinds: {', '.join(sources)}")
    return sources[kind]
