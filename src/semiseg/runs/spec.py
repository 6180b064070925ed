"""A run is known by its spec: everything that determines its result, and nothing else.

Configuration, data, list of labelled images, seed, and a fingerprint of the code that matters. File times and hidden
metadata decide nothing; versions and hardware are recorded but do not make a finished run stale.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from typing import Any

from semiseg.base.files import sha256_json
from semiseg.base.fingerprint import file_of, fingerprint
from semiseg.methods import REGISTRY as METHODS
from semiseg.models.architecture import REGISTRY as ARCHITECTURES


def make_spec(config: dict[str, Any], data: str | None, split: str | None) -> dict[str, Any]:
    """The wanted spec of a run; `data` and `split` are None while nobody has made them yet."""
    needs = {name: spec_sha256(one) for name, one in needed_specs(config, data, split).items()}
    found = {"config": config, "data": data, "split": split, "code": training_fingerprint(config)}
    return found | ({"needs": needs} if needs else {})


def needed_specs(config: dict[str, Any], data: str | None, split: str | None) -> dict[str, dict[str, Any]]:
    """The wanted specs of the runs that a run needs: with another one of them the run is another run as well."""
    needs = config.get("needs", {})
    return {name: make_spec(one["config"], data, split) for name, one in needs.items()}


def spec_sha256(spec: dict[str, Any]) -> str:
    return sha256_json(spec)


def differences(old: dict[str, Any] | None, new: dict[str, Any]) -> list[str]:
    """What a person wants to read when a run is not up to date."""
    if old is None:
        return ["it has not been trained"]
    reasons = [
        f"parameter {path}: {before!r} -> {after!r}" for path, before, after in _leaves(old["config"], new["config"])
    ]
    for key, words in (("data", "the data set changed"), ("split", "the list of labelled images changed")):
        if old.get(key) != new.get(key):
            reasons.append(words if new.get(key) else f"{words.split(' changed')[0]} is not prepared yet")
    if changed := changed_modules(old, new):
        reasons.append(f"code changed in {', '.join(map(file_of, changed))}")
    if not reasons:
        needs = {key: spec.get("needs", {}) for key, spec in (("old", old), ("new", new))}
        reasons += [f"the run that it needs as {name} changed" for name in needs["new"]
                    if needs["old"].get(name) != needs["new"][name]]  # fmt: skip
    return reasons


def changed_modules(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [name for name in sorted({*old["code"], *new["code"]}) if old["code"].get(name) != new["code"].get(name)]


def _leaves(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _leaves(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


def as_carried(wanted: dict[str, Any], carried: dict[str, Any] | None, at_default: Collection[str]) -> dict[str, Any]:
    """The spec that a finished run carries, where it differs only by keys that did not exist when it was trained.

    A new key whose default keeps the behaviour makes nothing stale: `at_default` holds the paths of the keys that stand
    at their default.
    """
    if carried is None or carried == wanted:
        return wanted
    older = wanted | {"config": _without(wanted["config"], carried["config"], at_default)}
    return older if older == carried else wanted


def _without(new: dict[str, Any], old: Any, at_default: Collection[str], prefix: str = "") -> dict[str, Any]:
    """`new` without the keys that `old` lacks and that stand at their default."""
    old = old if isinstance(old, dict) else {}
    kept = {key: value for key, value in new.items() if key in old or f"{prefix}{key}" not in at_default}
    return {
        key: _without(value, old.get(key), at_default, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in kept.items()
    }


def differs_in_code_alone(carried: dict[str, Any] | None, wanted: dict[str, Any], at_default: Collection[str]) -> bool:
    if carried is None or carried["code"] == wanted["code"]:
        return False
    return as_carried(wanted | {"code": carried["code"]}, carried, at_default) == carried


def training_fingerprint(config: dict[str, Any]) -> dict[str, str]:
    """Module -> hash, for every module that a training of this configuration uses: of all methods and architectures,
    its own alone. How images are read belongs to the hash of the data."""
    return _fingerprint(config["method"]["name"], config["recipe"]["network"]["architecture"])


@functools.cache
def _fingerprint(method: str, architecture: str) -> dict[str, str]:
    return fingerprint("semiseg.engine.train", METHODS.module(method), ARCHITECTURES.module(architecture))
