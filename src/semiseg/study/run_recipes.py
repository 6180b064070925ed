"""The recipe and the evaluation of each run: those of the suite, adapted to the method's head and cost."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.explain import problems
from semiseg.cluster import estimate
from semiseg.params.recipe import Recipe
from semiseg.study import trials
from semiseg.study.variants import Variants, parted


class Recipes:
    """Recipes for the methods of a suite; `kind` is that of its data set."""

    def __init__(self, variants: Variants, kind: str) -> None:
        self.variants, self.suite, self.kind = variants, variants.suite, kind

    def of(self, method: str, options: Any) -> dict[str, Any]:
        """The suite's recipe, with the optimiser that fits the method's head."""
        recipe = dict(self._whole_recipe)
        of_masks = recipe.pop("mask_head_optimiser")
        setting = methods.Setting.of(recipe, self.kind)
        if of_masks is not None and methods.load(method)(options, setting).head == "mask":
            recipe["optimiser"] = of_masks
        return recipe

    def changed(self, recipe: dict[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The recipe with a variant's changes, checked like one that a suite gives."""
        try:
            found = Recipe.model_validate(trials.applied({"recipe": recipe}, changes)["recipe"]).model_dump(mode="json")
        except (KeyError, TypeError):
            raise UserError(f"{where}: {', '.join(changes)}: the recipe has no such key") from None
        except ValidationError as error:
            told = (f"{where}: recipe.{'.'.join(keys)}: {message}" for keys, message in problems(error, Recipe))
            raise UserError("\n".join(told)) from None
        return {key: found[key] for key in recipe}

    def with_evaluation(self, method: str, options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Recipe and evaluation of a run.

        A method with `as_dear_as_any` gets as many iterations as the suite's most expensive method has FLOPs for. The
        number of evaluations does not change: otherwise `best` would be chosen from more of them.
        """
        recipe, evaluation = self.of(method, options), self.evaluation
        if not methods.load(method).as_dear_as_any(options):
            return recipe, evaluation
        head = methods.load(method)(options, methods.Setting.of(recipe, self.kind)).head
        longer = max(1.0, self._dearest_step(head) / self._step_gflops(method, options))
        return (
            recipe | {"iterations": math.ceil(longer * recipe["iterations"])},
            evaluation | {"every": math.ceil(longer * evaluation["every"])},
        )

    @functools.cache  # noqa: B019 - lives as long as the plan is built
    def _dearest_step(self, head: str) -> float:
        """FLOPs of a step of the suite's most expensive method; only networks with the same head are compared."""
        dearest = 0.0
        for method, entries in self.suite.methods.items():
            kind = methods.load(method)
            for variant in (variant for entry in entries for variant in entry.variants):
                where = f"suites.{self.variants.suite_name}.methods.{method}"
                options = self.variants.options(method, parted(variant)[0], where)
                one = kind(options, methods.Setting.of(self._whole_recipe, self.kind))
                if one.head == head and not kind.as_dear_as_any(options):
                    dearest = max(dearest, self._step_gflops(method, options))
        return dearest

    def _step_gflops(self, method: str, options: Any) -> float:
        """FLOPs of a step with unlabelled images, plus those of a step of each needed run."""
        config = {
            "dataset": {"kind": self.kind},
            "split": {"partition": None},
            "method": {"name": method, "options": options.model_dump(mode="json")},
            "recipe": self.of(method, options),
        }
        before = (self._step_gflops(*one) for one in self.variants.needs(method, options).values())
        return estimate.step_gflops(config) + sum(before)

    @functools.cached_property
    def _whole_recipe(self) -> dict[str, Any]:
        return self.suite.recipe.model_dump(mode="json")

    @functools.cached_property
    def evaluation(self) -> dict[str, Any]:
        return self.suite.evaluation.model_dump(mode="json")
