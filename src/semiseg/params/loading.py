"""Reading params.yaml, which describes every experiment.

The whole file is validated before anything starts. An error names the key's path, what was expected and the nearest
valid name.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from semiseg import methods
from semiseg.base import plugins
from semiseg.base.errors import UserError
from semiseg.base.explain import explain, nearest
from semiseg.base.yaml_loader import UniqueKeys
from semiseg.datasets import kind
from semiseg.models import architecture
from semiseg.params import hub_weights
from semiseg.params.cross_check import cross_check
from semiseg.params.schema import Params
from semiseg.scoring import metric

LOCAL = "params.local.yaml"
REGISTRIES = (methods.REGISTRY, kind.REGISTRY, architecture.REGISTRY, metric.REGISTRY)


def load(path: str | Path = "params.yaml", suite: str | None = None, local: bool = True) -> Params:
    """Read and validate params.yaml, with params.local.yaml; `suite` replaces the suite that the files name."""
    path = Path(path)
    raw = _with_local(read_yaml(path), path) if local else read_yaml(path)
    _use_plugins(raw, path)
    suites = raw.get("suites")
    bases: dict[str, str] = {}
    if isinstance(suites, dict):
        raw["suites"] = {name: _extended(suites, name, path, ()) for name in suites}
        hub_weights.fill_in(raw["suites"], path.parent)
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
    return params


def _with_local(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """Merge params.local.yaml, which git ignores, over params.yaml."""
    local = path.with_name(LOCAL)
    if not local.exists():
        return raw
    own = read_yaml(local)
    unknown = [key for key in own if key not in Params.model_fields]
    if unknown:
        raise UserError(f"{local}: {unknown[0]}: unknown key{nearest(str(unknown[0]), Params.model_fields)}")
    if "suite" in own and "dataset" not in own:
        raw = {key: value for key, value in raw.items() if key != "dataset"}
    return _overlay(raw, own)


def _use_plugins(raw: dict[str, Any], path: Path) -> None:
    listed = raw.get("plugins", [])
    if not isinstance(listed, list):
        raise UserError(f"{path}: plugins: expected a list of Python files, found {listed!r}")
    plugins.use([path.parent / str(one) for one in listed])
    for module in plugins.modules():
        if not any(registry.defined_in(module) for registry in REGISTRIES):
            words = ", ".join(registry.what for registry in REGISTRIES)
            raise UserError(f"{path}: plugins: {module.__file__} defines nothing that can be added ({words})")


def read_yaml(path: Path) -> dict[str, Any]:
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
    """A suite with `extends: other` is a copy of the other suite with its own keys merged over it."""
    block = suites[name]
    if not isinstance(block, dict) or "extends" not in block:
        return copy.deepcopy(block)
    base = block["extends"]
    if not isinstance(base, str) or base not in suites:
        raise UserError(f"{path}: suites.{name}.extends: there is no suite {base!r}{nearest(str(base), suites)}")
    if base in (*seen, name):
        raise UserError(
            f"{path}: suites.{name}.extends: the suites {', '.join((*seen, name))} extend each other in a circle"
        )
    own = {key: value for key, value in block.items() if key not in ("extends", "only")}
    merged = _overlay(_extended(suites, base, path, (*seen, name)), own)
    return _chosen(merged, block["only"], f"{path}: suites.{name}.only") if "only" in block else merged


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
    """`null` removes an entry of the base from methods and ablations (or all of them), and unsets a key elsewhere."""
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return copy.deepcopy(own)
    merged = dict(base)
    for key, value in own.items():
        merged[key] = _overlay(base[key], value) if key in base else copy.deepcopy(value)
    for block in {"methods", "ablations"} & merged.keys():
        if isinstance(merged[block] or {}, dict):  # the schema rejects anything else
            merged[block] = {key: value for key, value in (merged[block] or {}).items() if value is not None}
    return merged


def _once(sentences: str, bases: dict[str, str]) -> str:
    """Report a suite's problem once, not again for every suite that extends it."""
    lines = sentences.splitlines()

    def inherited(line: str) -> bool:
        pairs = ((f": suites.{name}.", f": suites.{base}.") for name, base in bases.items())
        return any(own in line and line.replace(own, first, 1) in lines for own, first in pairs)

    return "\n".join(line for line in lines if not inherited(line))
