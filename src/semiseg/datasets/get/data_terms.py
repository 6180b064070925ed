"""Terms of use of each kind of data set's images, for bundles and model cards."""

from __future__ import annotations

from semiseg.datasets.get.archives import load_sources

MADE_HERE = {"pocket": "drawn by this program; no source and no terms"}
AS = {"cityscapes_mini": "cityscapes"}
UNKNOWN = "those of their owner; this program does not know them"


def terms_of(kind: str) -> str:
    source = load_sources().get(AS.get(kind, kind))
    return MADE_HERE.get(kind) or (source.terms if source else UNKNOWN)
