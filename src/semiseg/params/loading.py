"""Reading params.yaml, which describes every experiment.

The whole file is validated before anything starts. An error names the key's path, what was expected and the nearest
valid name.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from semiseg import methods
from semiseg.base import plugins
from semiseg.base.errors import UserError
from semiseg.base.explain import nearest, problems
from semiseg.base.yaml_loader import UniqueKeys
from semiseg.datasets import kind
from semiseg.models import architecture
from semiseg.params import hub_weights
from semiseg.params.cross_check import cross_check
from semiseg.params.origin import Origin
from semiseg.params.schema import Params
from semiseg.scoring import metric

LOCAL = "params.local.yaml"
REGISTRIES = (methods.REGISTRY, kind.REGISTRY, architecture.REGISTRY, metric.REGISTRY)


def load(path: str | Path = "params.yaml", suite: str | None = None, local: bool = True) -> Params:
    """Read and validate params.yaml, with params.local.yaml; `suite` replaces the suite that the files name."""
    path = Path(path)
    local_path = path.with_name(LOCAL)
    own = read_yaml(local_path) if local and local_path.exists() else None
    origin = Origin(path, read_yaml(path), local_path, own)
    raw = dict(origin.content) if own is None else _with_local(origin.content, own, local_path)
    raw |= _use_plugins(origin)
    suites = raw.get("suites")
    bases: dict[str, str] = {}
    if isinstance(suites, dict):
        raw["suites"] = {name: _extended(suites, name, origin, ()) for name in suites}
        hub_weights.fill_in(raw["suites"], path.parent)
        bases = {name: own["extends"] for name, own in suites.items() if isinstance(own, dict) and "extends" in own}
    if suite is not None:
        raw["suite"] = suite
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        found = _once(list(problems(error, Params)), bases)
        raise UserError("\n".join(f"{origin.at(*keys)}: {message}" for keys, message in found)) from None
    if params.suite not in params.suites:
        where = origin.at("suite") if suite is None else path
        raise UserError(f"{where}: there is no suite {params.suite!r}{nearest(params.suite, params.suites)}")
    cross_check(params, origin)
    params._origin = origin
    return params


def _with_local(raw: dict[str, Any], own: dict[str, Any], local: Path) -> dict[str, Any]:
    """Merge params.local.yaml, which git ignores, over params.yaml."""
    unknown = [key for key in own if key not in Params.model_fields]
    if unknown:
        raise UserError(f"{local}: {unknown[0]}: unknown key{nearest(str(unknown[0]), Params.model_fields)}")
    if "suite" in own and "dataset" not in own:
        raw = {key: value for key, value in raw.items() if key != "dataset"}
    suites = raw.get("suites")
    if isinstance(suites, dict):
        raw = raw | {"suites": {name: _with_names(suite) for name, suite in suites.items()}}
    return _without_nulls(_overlay(raw, own), ("methods",))


def _use_plugins(origin: Origin) -> dict[str, list[str]]:
    """The key `plugins`, if a file has it: the lists of both files are joined, because plugins only add."""
    listed = plugins.listed(origin.contents())
    plugins.use(listed)
    for module in plugins.modules():
        if not any(registry.defined_in(module) for registry in REGISTRIES):
            words = ", ".join(registry.what for registry in REGISTRIES)
            where = listed[Path(str(module.__file__))]
            raise UserError(f"{where}: {module.__file__} defines nothing that can be added ({words})")
    return {"plugins": [str(path) for path in listed]} if listed else {}


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        with path.open() as stream:  # whose name stands in messages
            value = yaml.load(stream, Loader=UniqueKeys)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the command from the root of the repository") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if value is None:  # an empty file, or comments alone
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping with the keys {', '.join(Params.model_fields)}")
    return value


def _extended(suites: dict[str, Any], name: str, origin: Origin, seen: tuple[str, ...]) -> Any:
    """A suite with `extends: other` is a copy of the other suite with its own keys merged over it."""
    block = suites[name]
    if not isinstance(block, dict):
        return copy.deepcopy(block)
    if "extends" not in block:
        return _without_nulls(_with_names(copy.deepcopy(block)), ("methods", "ablations"))
    base, where = block["extends"], origin.at("suites", str(name), "extends")
    if not isinstance(base, str) or base not in suites:
        raise UserError(f"{where}: there is no suite {base!r}{nearest(str(base), suites)}")
    if base in (*seen, name):
        raise UserError(f"{where}: the suites {', '.join((*seen, name))} extend each other in a circle")
    own = {key: value for key, value in block.items() if key not in ("extends", "only")}
    merged = _overlay(_extended(suites, base, origin, (*seen, name)), own)
    merged = _without_nulls(_with_names(merged), ("methods", "ablations"))
    return _chosen(merged, block["only"], origin.at("suites", str(name), "only")) if "only" in block else merged


def _chosen(suite: dict[str, Any], names: Any, where: str) -> dict[str, Any]:
    """The suite with only the named methods."""
    methods = suite.get("methods")
    if not isinstance(methods, dict) or not isinstance(names, list):
        raise UserError(f"{where}: expected a list of the suite's methods, found {names!r}")
    unknown = [name for name in names if name not in methods]
    if unknown:
        raise UserError(f"{where}: the suite has no method {unknown[0]!r}{nearest(str(unknown[0]), methods)}")
    return suite | {"methods": {name: methods[name] for name in names}}


def _overlay(base: Any, own: Any) -> Any:
    """The base with its own keys replaced; mappings are merged, and `null` stays, to be removed at the end."""
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return copy.deepcopy(own)
    merged = dict(base)
    for key, value in own.items():
        merged[key] = _overlay(base[key], value) if key in base else copy.deepcopy(value)
    return merged


def _without_nulls(block: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """`null` removes a method or an ablation, or all of them; elsewhere it unsets a key."""
    found = {key: block[key] or {} for key in keys if key in block and isinstance(block[key] or {}, dict)}
    return block | {key: {name: one for name, one in part.items() if one is not None} for key, part in found.items()}


def _with_names(suite: Any) -> Any:
    """A suite whose methods are a list of names has them as a mapping, which can be merged and chosen from."""
    listed = suite.get("methods") if isinstance(suite, dict) else None
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        return suite
    return suite | {"methods": {name: {} for name in listed}}


def _once(found: list[tuple[list[str], str]], bases: dict[str, str]) -> list[tuple[list[str], str]]:
    """Report a suite's problem once, not again for every suite that extends it."""

    def inherited(keys: list[str], message: str) -> bool:
        base = bases.get(keys[1]) if keys[:1] == ["suites"] and len(keys) > 1 else None
        return base is not None and (["suites", base, *keys[2:]], message) in found

    return [one for one in found if not inherited(*one)]
