"""Reading params.yaml, the one place where an experiment is described.

The file is validated as a whole before anything starts: an unknown key, a wrong type or an impossible combination ends
with the key's path, what was expected and the nearest valid name.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from semiseg.base.errors import UserError
from semiseg.base.explain import explain, nearest
from semiseg.base.yaml_loader import UniqueKeys
from semiseg.params.cross_check import cross_check
from semiseg.params.schema import Params


def load(path: str | Path = "params.yaml", suite: str | None = None) -> Params:
    """Read and validate params.yaml; `suite` stands in for the one that the file names."""
    path = Path(path)
    raw = _read_yaml(path)
    suites = raw.get("suites")
    bases: dict[str, str] = {}
    if isinstance(suites, dict):
        raw["suites"] = {name: _extended(suites, name, path, ()) for name in suites}
        bases = {name: own["extends"] for name, own in suites.items() if isinstance(own, dict) and "extends" in own}
    if suite is not None:
        raw["suite"] = suite
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(_once(explain(error, Params, path), bases)) from None
    if params.suite not in params.suites:
        raise UserError(f"{path}: suite: there is no suite {params.suite!r}{nearest(params.suite, params.suites)}")
    cross_check(params, path)
    own = params.suites[params.suite].dataset
    if suite is None and params.dataset != own:
        raise UserError(f"{path}: dataset: the suite {params.suite} uses the data set {own}; write `dataset: {own}`")
    return params


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        with path.open() as stream:  # whose name stands in messages
            value = yaml.load(stream, Loader=UniqueKeys)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the command from the root of the repository") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping with the keys {', '.join(Params.model_fields)}")
    return value


def _extended(suites: dict[str, Any], name: str, path: Path, seen: tuple[str, ...]) -> Any:
    """A suite with `extends: other` is the other one with its own keys laid over it, mapping by mapping."""
    block = suites[name]
    if not isinstance(block, dict) or "extends" not in block:
        return copy.deepcopy(block)
    base = block["extends"]
    if not isinstance(base, str) or base not in suites:
        raise UserError(f"{path}: suites.{name}.extends: there is no suite {base!r}{nearest(str(base), suites)}")
    if base in (*seen, name):
        raise UserError(
            f"{path}: suites.{name}.extends: the suites {', '.join((*seen, name))} extend each other in a ring"
        )
    own = {key: value for key, value in block.items() if key != "extends"}
    return _overlay(_extended(suites, base, path, (*seen, name)), own)


def _overlay(base: Any, own: Any) -> Any:
    """`null` removes an entry of the base from methods and ablations (or all of them), and unsets a key elsewhere."""
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return copy.deepcopy(own)
    merged = dict(base)
    for key, value in own.items():
        merged[key] = _overlay(base[key], value) if key in base else copy.deepcopy(value)
    for block in {"methods", "ablations"} & merged.keys():
        if isinstance(merged[block] or {}, dict):  # anything else is answered by the schema
            merged[block] = {key: value for key, value in (merged[block] or {}).items() if value is not None}
    return merged


def _once(sentences: str, bases: dict[str, str]) -> str:
    """A suite's problem without its repetitions in the suites that extend it."""
    lines = sentences.splitlines()

    def inherited(line: str) -> bool:
        pairs = ((f": suites.{name}.", f": suites.{base}.") for name, base in bases.items())
        return any(own in line and line.replace(own, first, 1) in lines for own, first in pairs)

    return "\n".join(line for line in lines if not inherited(line))
