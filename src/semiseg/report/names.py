"""How methods are written and told apart, the same in every table, plot and page."""

from __future__ import annotations

from typing import Any

METHODS = {
    "supervised": "Supervised",
    "advsemiseg": "AdvSemiSeg",
    "scl": "SCL",
    "rc2l": "RC2L",
    "imas": "iMAS",
    "mean_teacher": "Mean Teacher",
    "cutmix_seg": "CutMix-Seg",
    "fixmatch": "FixMatch",
    "cps": "CPS",
    "unimatch": "UniMatch",
    "augseg": "AugSeg",
}
MAIN_VARIANTS = ("default", "adv_semi")


def label(method: str, variant: str = "default") -> str:
    """ "UniMatch", "AdvSemiSeg (adv)"."""
    name = METHODS.get(method, method)
    return name if variant in MAIN_VARIANTS else f"{name} ({variant})"


def of(thing: Any) -> str:
    """Label of a row, run or cell."""
    if isinstance(thing, dict):
        return label(thing["method"], thing["variant"])
    return label(thing.method, thing.variant)


def rank(thing: Any) -> tuple[Any, ...]:
    """Sort key: the order of METHODS, a method's main variant first."""
    method, variant = (thing["method"], thing["variant"]) if isinstance(thing, dict) else (thing.method, thing.variant)
    known = list(METHODS)
    return (known.index(method) if method in known else len(known), method, variant not in MAIN_VARIANTS, variant)
