"""A run is known by its spec: everything that determines its result, and nothing else.

Configuration, data, list of labelled images, seed, and a fingerprint of the code that matters. File times and hidden
metadata decide nothing; versions and hardware are recorded but do not make a finished run stale.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from semiseg.base.files import sha256_json
from semiseg.base.fingerprint import fingerprint


def make_spec(config: dict[str, Any], data: str | None, split: str | None) -> dict[str, Any]:
    """The wanted spec of a run; `data` and `split` are None while nobody has made them yet."""
    return {"config": config, "data": data, "split": split, "code": training_fingerprint(config["method"]["name"])}


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
    changed = [name for name in sorted({*old["code"], *new["code"]}) if old["code"].get(name) != new["code"].get(name)]
    if changed:
        reasons.append(f"code changed in {', '.join(changed)}")
    return reasons


def _leaves(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _leaves(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


@functools.cache
def training_fingerprint(method: str) -> dict[str, str]:
    """Module -> hash, for every module that a training of this method imports."""
    return fingerprint("semiseg.engine.train", f"semiseg.methods.{method}")
