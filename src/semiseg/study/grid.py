"""Expands a suite into its runs and cells; nothing else expands the grid.

Snakemake, DVC, the command line and the report all use this module, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.params.schema import Ablation, Params, Suite
from semiseg.splits.families import FULL
from semiseg.study import trials
from semiseg.study.plan import TUNED, Cell, Plan, Run, tuning_file
from semiseg.study.run_recipes import Recipes
from semiseg.study.variants import Changes, Variants, parted, word

JUDGED_ON_VAL = {"evaluated_on": "val", "selected_on": None}  # evaluation of trials, and of the runs that they need
# These keys are paths and permissions, which change no result. The content of the files is part of the data's hash.
NOT_DETERMINING = {"data_root", "redistributable", "classes_file", "val_list", "test_list"}


def plan(params: Params, suite_name: str | None = None) -> Plan:
    name = suite_name or params.suite
    if name not in params.suites:
        from semiseg.base.explain import nearest

        raise UserError(f"{params.at('suites')}: there is no suite {name!r}{nearest(name, params.suites)}")
    builder = _Builder(params, name)
    cells = (*builder.comparison(), *builder.tuned(), *builder.ablations())
    shown = (run for cell in cells for run in cell.runs)
    # Equal paths mean equal specs, so many cells can share a run. Runs that others need are included, shown or not.
    runs = {one.path: one for run in (*shown, *builder.trials()) for one in _with_needed(run)}
    return Plan(name, tuple(runs[path] for path in sorted(runs)), cells)


def _with_needed(run: Run) -> Iterator[Run]:
    for other in run.needs.values():
        yield from _with_needed(other)
    yield run


class _Builder:
    def __init__(self, params: Params, name: str) -> None:
        self.params, self.name = params, name
        self.suite: Suite = params.suites[name]
        self.dataset = params.datasets[self.suite.dataset]
        self.variants = Variants(params, name)
        self.recipes = Recipes(self.variants, self.dataset.kind)

    def comparison(self) -> list[Cell]:
        cells = []
        for method, entry in ((name, one) for name, entries in self.suite.methods.items() for one in entries):
            where = f"suites.{self.name}.methods.{method}"
            if entry.options and entry is not self.suite.methods[method][0]:
                raise UserError(
                    f"{self.params.at(where)}: the options of the first entry hold for all entries; move these options "
                    "there, or make them a variant"
                )
            for variant in entry.variants:
                for family, partition in self._splits(entry.at):
                    seeds = self._seeds(family, partition)
                    cells.append(self._cell("comparison", None, method, variant, family, partition, seeds, where))
        return cells

    def ablations(self) -> list[Cell]:
        cells = []
        for name, ablation in self.suite.ablations.items():
            where = f"suites.{self.name}.ablations.{name}"
            for arm, changes in _arms(ablation).items():
                method = changes.pop("method", ablation.method)
                for family, seeds in self._lists_of(ablation):
                    cells.append(self._cell(name, arm, method, changes, family, ablation.at, seeds, where))
        return cells

    def _lists_of(self, ablation: Ablation) -> list[tuple[str, tuple[int, ...]]]:
        """Families and seeds of an ablation: the first list, or with paired lists the list of each seed."""
        suite, seeds = self.suite, ablation.seeds or self.suite.seeds
        if not suite.splits.paired or ablation.at == FULL:
            return [(suite.splits.family[0], seeds)]
        return [(suite.splits.family[suite.seeds.index(seed)], (seed,)) for seed in seeds]

    def tuned(self) -> list[Cell]:
        """The row `tuned` of every method that is tuned, beside its default."""
        cells = []
        for method in self._tuned_methods():
            file = tuning_file(self.name, method)
            for family, partition in self._splits((self.suite.tune.at,)):
                seeds = self._seeds(family, partition)
                where = f"suites.{self.name}.tune"
                cell = self._cell("comparison", None, method, "default", family, partition, seeds, where)
                runs = tuple(replace(run, variant=TUNED, tuned_by=file, twin=run.path) for run in cell.runs)
                cells.append(replace(cell, arm=TUNED, variant=TUNED, runs=runs))
        return cells

    def trials(self) -> list[Run]:
        """The trials, equally many for every method: they train on one list, and are judged on val.

        Test is not evaluated.
        """
        runs = []
        for method in self._tuned_methods():
            default = self._default_trial(method)
            for number, setting in enumerate(trials.settings(default.config, self.suite.tune.trials, default.seed)):
                config = trials.applied(default.config, setting)
                where = f"suites.{self.name}.tune: trial {number} of {method}"
                values = self.variants.options(method, config["method"]["options"], where).model_dump(mode="json")
                self._check(method, self.variants.options(method, values, where), replace(default, config=config))
                trial = {"variant": f"trial{number}", "trial": number, "setting": setting}
                runs.append(replace(default, options=values, config=config, **trial))
        return runs

    def _default_trial(self, method: str) -> Run:
        tune = self.suite.tune
        options = self.variants.options(method, "default", f"suites.{self.name}.tune")
        recipe = self.recipes.of(method, options) | ({"iterations": tune.iterations} if tune.iterations else {})
        once = {"every": recipe["iterations"], "lastk": 1, "diagnostics": 0, "pictures": 0}
        judged = {**self.recipes.evaluation, **JUDGED_ON_VAL, **once}
        family, partition = tune.family or self.suite.splits.family[0], tune.trials_at or tune.at
        values = options.model_dump(mode="json")
        return self._run(method, "default", values, recipe, judged, family, partition, tune.seed, tune.dataset)

    def _tuned_methods(self) -> list[str]:
        """The methods that `tune` names.

        By default all methods of the suite that run at the partition of the tuning.
        """
        tune = self.suite.tune
        if tune is None:
            return []
        if tune.methods is not None:
            return list(tune.methods)
        return [
            name
            for name, entries in self.suite.methods.items()
            if any(entry.at is None or tune.at in entry.at for entry in entries)
        ]

    def _splits(self, at: tuple[str, ...] | None) -> list[tuple[str, str]]:
        """Pairs of family and partition; `full` is the same list in every family and occurs once."""
        chosen = at if at is not None else self.suite.splits.partitions
        pairs = [(family, partition) for family in self.suite.splits.family for partition in chosen]
        return [pair for pair in pairs if pair[1] != FULL or pair[0] == self.suite.splits.family[0]]

    def _seeds(self, family: str, partition: str) -> tuple[int, ...]:
        """All seeds; with paired lists, the one seed of the family. `full` is one list, so all seeds train on it."""
        suite = self.suite
        if not suite.splits.paired or partition == FULL:
            return suite.seeds
        return (suite.seeds[suite.splits.family.index(family)],)

    def _cell(
        self,
        kind: str,
        arm: str | None,
        method: str,
        changes: Changes,
        family: str,
        partition: str,
        seeds: tuple[int, ...],
        where: str,
    ) -> Cell:
        changes, of_recipe = parted(changes)
        options = self.variants.options(method, changes, where)
        values = options.model_dump(mode="json")
        variant = self.variants.name(method, values, of_recipe)
        reason = self._not_applicable(method, options, partition)
        runs = ()
        if not reason:
            recipe, evaluation = self.recipes.with_evaluation(method, options)
            if of_recipe:
                recipe = self.recipes.changed(recipe, of_recipe, self.params.at(where))
            shared = (method, variant, values, recipe, evaluation, family, partition)
            runs = tuple(self._run(*shared, seed) for seed in seeds)
        if runs:
            self._check(method, options, runs[0])
        label = arm if arm is not None else variant
        return Cell(kind, label, method, variant, family, partition, values, runs, reason)

    def _not_applicable(self, method: str, options: Any, partition: str) -> str:
        kind = methods.load(method)
        if partition == FULL and not self.dataset.extra and kind.needs_unlabelled(options):
            return "with all labels there are no unlabelled images"
        return ""

    def _check(self, method: str, options: Any, run: Run) -> None:
        """Check combinations of keys: the method's own checks, and that a method with a teacher has an EMA."""
        kind, one = methods.load(method), methods.of_run(run.config)
        where = self.params.at(f"suites.{self.name}.methods.{method}")
        if run.recipe["ema"] is None and (one.needs_teacher or one.reports == "teacher"):
            raise UserError(f"{where}: {method} needs a teacher; give recipe.ema a decay instead of null")
        try:
            methods.check(kind, options, one.setting)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def _run(
        self,
        method: str,
        variant: str,
        values: dict[str, Any],
        recipe: dict[str, Any],
        evaluation: dict[str, Any],
        family: str,
        partition: str,
        seed: int,
        dataset: str | None = None,
    ) -> Run:
        dataset = dataset or self.suite.dataset
        settings = self.params.datasets[dataset].model_dump(mode="json", exclude=NOT_DETERMINING)
        config = {
            "dataset": {"name": dataset, **settings},
            "split": {"family": FULL if partition == FULL else family, "partition": partition},
            "method": {"name": method, "options": values},
            "recipe": recipe,
            "evaluation": evaluation,
            "seed": seed,
        }
        needs = self._needed(method, values, family, partition, seed, dataset)
        if needs:
            config["needs"] = {name: {"run": one.name, "config": one.config} for name, one in needs.items()}
        return Run(self.name, dataset, family, partition, method, variant, values, seed, config, needs=needs)

    def _needed(
        self, method: str, values: dict[str, Any], family: str, partition: str, seed: int, dataset: str
    ) -> dict[str, Run]:
        """The runs that a run needs, with the suite's recipe: a trial uses the same teacher as the tables.

        If the trials have a separate data set, no table shows this teacher, and it is evaluated as the trials are.
        """
        found = {}
        for name, (one, options) in self.variants.needs(
            method, methods.load(method).Options.model_validate(values)
        ).items():
            wanted = options.model_dump(mode="json")
            recipe, evaluation = self.recipes.with_evaluation(one, options)
            if dataset != self.suite.dataset:
                evaluation = evaluation | JUDGED_ON_VAL
            place = (family, partition, seed, dataset)
            found[name] = self._run(one, self.variants.name(one, wanted), wanted, recipe, evaluation, *place)
        return found


def _arms(ablation: Ablation) -> dict[str, dict[str, Any]]:
    if ablation.arms:
        return {name: dict(changes) for name, changes in ablation.arms.items()}
    [(option, values)] = ablation.vary.items()
    return {word(value): {option: value} for value in values}
