"""A run is identified by its spec, which holds exactly what determines its result.

This is configuration, data, list of labelled images, seed, and a fingerprint of the code that the run uses. File times
and metadata do not matter. Versions and hardware are recorded but do not make a finished run stale.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from typing import Any

from semiseg.base.files import sha256_json
from semiseg.base.fingerprint import file_of, fingerprint
from semiseg.methods import REGISTRY as METHODS
from semiseg.models.architecture import REGISTRY as ARCHITECTURES

OF_CODE = ("code", "needs")  # the parts of a spec that depend on code


def make_spec(config: dict[str, Any], data: str | None, split: str | None) -> dict[str, Any]:
    """The current spec of a run; `data` and `split` are None until those are made."""
    found = {"config": config, "data": data, "split": split, "code": training_fingerprint(config)}
    return found | _hashes_of_needed(config, data, split)


def _hashes_of_needed(config: dict[str, Any], data: str | None, split: str | None) -> dict[str, Any]:
    needs = {name: spec_sha256(one) for name, one in needed_specs(config, data, split).items()}
    return {"needs": needs} if needs else {}


def needed_specs(config: dict[str, Any], data: str | None, split: str | None) -> dict[str, dict[str, Any]]:
    """The current specs of the runs that a run needs; a change of one of them makes the run stale."""
    needs = config.get("needs", {})
    return {name: make_spec(one["config"], data, split) for name, one in needs.items()}


def spec_sha256(spec: dict[str, Any]) -> str:
    return sha256_json(spec)


def differences(old: dict[str, Any] | None, new: dict[str, Any]) -> list[str]:
    """The reasons why a run is not up to date, as text."""
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
    return reasons or [f"{one} changed" for one in changed_needs(old, new)]


def changed_modules(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [name for name in sorted({*old["code"], *new["code"]}) if old["code"].get(name) != new["code"].get(name)]


def changed_needs(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before = old.get("needs", {})
    return [f"the needed run {name}" for name, one in new.get("needs", {}).items() if before.get(name) != one]


def _leaves(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _leaves(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


def as_carried(wanted: dict[str, Any], carried: dict[str, Any] | None, at_default: Collection[str]) -> dict[str, Any]:
    """The spec in the wording of a finished run, if the two differ only by keys that did not exist when it was trained.

    A new key whose default keeps the behaviour makes no run stale. `at_default`: the paths of all keys with their
    default value, including those of the needed runs.
    """
    if carried is None or carried == wanted:
        return wanted
    config = _without(wanted["config"], carried["config"], at_default)
    older = wanted | {"config": config} | _hashes_of_needed(config, wanted["data"], wanted["split"])
    return older if older == carried else wanted


def of_needed(at_default: Collection[str], name: str) -> list[str]:
    """Select the keys of the needed run `name` from `at_default`, as paths within its configuration."""
    prefix = _needed_key(name, "")
    return [key.removeprefix(prefix) for key in at_default if key.startswith(prefix)]


def as_needed(at_default: Collection[str], name: str) -> list[str]:
    """Turn keys of the needed run `name` into paths within the configuration of the run that needs it."""
    return [_needed_key(name, key) for key in at_default]


def _needed_key(name: str, key: str) -> str:
    return f"needs.{name}.config.{key}"


def _without(new: dict[str, Any], old: Any, at_default: Collection[str], prefix: str = "") -> dict[str, Any]:
    """`new` without the keys that `old` lacks and whose value is the default."""
    old = old if isinstance(old, dict) else {}
    kept = {key: value for key, value in new.items() if key in old or f"{prefix}{key}" not in at_default}
    return {
        key: _without(value, old.get(key), at_default, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in kept.items()
    }


def differs_in_code_alone(carried: dict[str, Any] | None, wanted: dict[str, Any], at_default: Collection[str]) -> bool:
    """Whether only code differs, in the run or in the runs that it needs."""
    if carried is None:
        return False
    config = _without(wanted["config"], carried["config"], at_default)
    of_code = {key: carried[key] for key in OF_CODE if key in carried}
    new = with_code_of(carried, wanted)
    return carried != new and carried == wanted | {"config": config} | of_code


def with_code_of(carried: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The stored spec of a run, with the current code of the run and of the runs that it needs."""
    return carried | {"code": wanted["code"]} | _hashes_of_needed(carried["config"], carried["data"], carried["split"])


def training_fingerprint(config: dict[str, Any]) -> dict[str, str]:
    """Module -> hash, for every module that a training of this configuration uses. Only the
    run's own method and architecture are included. The hash of the data covers the code that reads images."""
    return _fingerprint(config["method"]["name"], config["recipe"]["network"]["architecture"])


@functools.cache
def _fingerprint(method: str, architecture: str) -> dict[str, str]:
    return fingerprint("semiseg.engine.train", METHODS.module(method), ARCHITECTURES.module(architecture))
