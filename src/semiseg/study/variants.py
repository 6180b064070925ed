"""Variants of methods: their options, the names of their folders, and the runs that they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.explain import problems
from semiseg.base.files import sha256_json
from semiseg.params.schema import MethodEntry, Params, Suite
from semiseg.study.trials import RECIPE

Changes = str | dict[str, Any]  # of a variant: its name, or its options and keys of the recipe


class Variants:
    """The variants of a suite's methods."""

    def __init__(self, params: Params, name: str) -> None:
        self.params, self.suite_name = params, name
        self.suite: Suite = params.suites[name]

    def _defaults(self, method: str) -> dict[str, Any]:
        # The options of the first entry hold for all entries.
        [first, *_] = self.suite.methods.get(method, (MethodEntry(),))
        return {**self.params.methods.get(method, {}), **first.options}

    def options(self, method: str, changes: str | dict[str, Any], where: str) -> Any:
        """The validated options of a variant: the method's default block with the variant's changes."""
        kind = methods.load(method)
        if isinstance(changes, str):
            named = {"default": {}, **kind.variant_names}
            if changes not in named:
                raise UserError(
                    f"{self.params.at(f'{where}.variants')}: {method} has no variant {changes!r}; "
                    f"name one of {', '.join(named)} or give its options"
                )
            changes = named[changes]
        try:
            return kind.Options.model_validate({**self._defaults(method), **changes})
        except ValidationError as error:
            found = problems(error, kind.Options)
            told = (f"{self.params.at('.'.join([where, *keys]))}: {message}" for keys, message in found)
            raise UserError("\n".join(told)) from None

    def name(self, method: str, values: dict[str, Any], of_recipe: Mapping[str, Any] | None = None) -> str:
        """The variant's name: its named block, or the sorted differences from the method's default block.

        Keys of the recipe follow without `recipe.`.
        """
        name = self._name_of_options(method, values)
        changed = [f"{key.removeprefix(RECIPE)}={word(value)}" for key, value in sorted((of_recipe or {}).items())]
        return ",".join([name] * (name != "default" or not changed) + changed)

    def _name_of_options(self, method: str, values: dict[str, Any]) -> str:
        kind = methods.load(method)
        default = kind.Options.model_validate(self._defaults(method)).model_dump(mode="json")
        changed = {key: value for key, value in sorted(values.items()) if value != default[key]}
        for name, block in kind.variant_names.items():
            if changed == block or (not changed and not block):
                return name
        return ",".join(f"{key}={word(value)}" for key, value in changed.items()) or "default"

    def needs(self, method: str, options: Any) -> dict[str, tuple[str, Any]]:
        """Methods and options of the runs that a run needs."""
        where = f"suites.{self.suite_name}.methods.{method}"
        found = methods.load(method).needs(options)
        return {name: (one.method, self.options(one.method, dict(one.options), where)) for name, one in found.items()}


def parted(changes: Changes) -> tuple[Changes, dict[str, Any]]:
    """A variant's changes of options, and those of the recipe, whose keys begin with `recipe.`."""
    if isinstance(changes, str):
        return changes, {}
    of_recipe = {key: value for key, value in changes.items() if key.startswith(RECIPE)}
    return {key: value for key, value in changes.items() if key not in of_recipe}, of_recipe


def word(value: Any) -> str:
    """An option's value as part of a folder's name; the result is short and safe on every file system."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
    plain = "".join(character if character.isalnum() or character in "._-" else "_" for character in text)
    return plain if len(plain) <= 40 else sha256_json(value)[:12]
