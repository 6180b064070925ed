"""The settings of tuning: the same number for every method, first the default, the rest from a Sobol sequence."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.files import read_json

AFFECTS_RESULTS = False
RECIPE = "recipe."  # how a setting names a key of the recipe; all other keys are the method's options

Setting = dict[str, Any]  # key -> value; keys as in a method's `tuned`


def settings(config: Mapping[str, Any], trials: int, seed: int) -> list[Setting]:
    """Of a run with this configuration; the first is empty and stands for the default."""
    name = config["method"]["name"]
    declared = methods.load(name).tuned
    places = _sequence(trials - 1, [f"{seed}\n{name}\n{key}" for key in declared])
    return [{}] + [
        {key: one.value(place, _value(config, key)) for (key, one), place in zip(declared.items(), row, strict=True)}
        for row in places
    ]


def applied(config: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with this setting; the one given stays as it is, and so does what it shares with others.

    A run's recipe and that of the run that it needs may be one object, and the setting is the run's alone.
    """
    changed = dict(config)
    for key, value in setting.items():
        changed = _replaced(changed, _path(key), value)
    return changed


def resolved(content: dict[str, Any]) -> dict[str, Any]:
    """The configuration that a job trains: a tuned run takes the setting of the best trial, which is known by now."""
    if not content.get("tuned_by"):
        return content
    path = Path(content["tuned_by"])
    if not path.exists():
        raise UserError(f"{path} does not exist yet: the trials come first, `snakemake --profile local all` runs them")
    return content | {"config": applied(content["config"], read_json(path)["setting"])}


def _value(config: Mapping[str, Any], key: str) -> Any:
    found: Any = config
    for name in _path(key):
        found = found[name]
    return found


def _path(key: str) -> list[str]:
    return key.split(".") if key.startswith(RECIPE) else ["method", "options", key]


def _replaced(block: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    first, *rest = path
    return {**block, first: _replaced(block[first], rest, value) if rest else value}


def _sequence(count: int, keys: list[str]) -> list[list[float]]:
    """Points in the unit cube, spread evenly: Sobol's sequence, each dimension shifted by an amount that its key gives.

    The shift comes from a hash and not from a generator, so that every version of every library tries the same.
    """
    if not count or not keys:
        return [[] for _ in range(count)]
    from scipy.stats import qmc  # takes half a second, and most suites do not tune

    points = qmc.Sobol(len(keys), scramble=False).random_base2(math.ceil(math.log2(count + 1)))
    shifts = [int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48 for key in keys]
    return [[(x + shift) % 1.0 for x, shift in zip(row, shifts, strict=True)] for row in points[1 : count + 1].tolist()]
