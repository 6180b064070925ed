"""The settings of tuning, equally many for every method: first the default, then points of a Sobol sequence."""

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
RECIPE = "recipe."  # prefix of recipe keys in a setting; all other keys are the method's options

Setting = dict[str, Any]  # key -> value; keys as in a method's `tuned`


def settings(config: Mapping[str, Any], trials: int, seed: int) -> list[Setting]:
    """The settings for a run with this configuration; the first is empty and means the default."""
    name = config["method"]["name"]
    declared = methods.load(name).tuned
    places = _sequence(trials - 1, [f"{seed}\n{name}\n{key}" for key in declared])
    return [{}] + [
        {key: one.value(place, _value(config, key)) for (key, one), place in zip(declared.items(), row, strict=True)}
        for row in places
    ]


def applied(config: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    """A new configuration with this setting; the given configuration is not changed.

    A run and the run that it needs may share one recipe object, but the setting applies to the run only.
    """
    changed = dict(config)
    for key, value in setting.items():
        changed = _replaced(changed, _path(key), value)
    return changed


def resolved(content: dict[str, Any]) -> dict[str, Any]:
    """The configuration that a job trains: a tuned run uses the setting of the best trial, which is known by then."""
    if not content.get("tuned_by"):
        return content
    path = Path(content["tuned_by"])
    if not path.exists():
        raise UserError(f"{path} does not exist yet: `snakemake --profile local all` runs the trials first")
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
    """Evenly spread points in the unit cube: a Sobol sequence.

    Each dimension is shifted by an amount that depends on its key.

    A hash gives the shift, so that the settings do not depend on library versions.
    """
    if not count or not keys:
        return [[] for _ in range(count)]
    from scipy.stats import qmc  # the import takes half a second, and most suites do not tune

    points = qmc.Sobol(len(keys), scramble=False).random_base2(math.ceil(math.log2(count + 1)))
    shifts = [int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48 for key in keys]
    return [[(x + shift) % 1.0 for x, shift in zip(row, shifts, strict=True)] for row in points[1 : count + 1].tolist()]
