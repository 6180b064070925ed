"""A suite and its products: the inputs of each product, and which products must be made."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.files import peek_json, read_json, sha256_file, sha256_json
from semiseg.cluster.job_needs import Needs
from semiseg.datasets import preparing
from semiseg.params import loading
from semiseg.params.schema import Params
from semiseg.report import captions
from semiseg.runs import seal
from semiseg.runs.run_folder import RunFolder
from semiseg.splits import split_files
from semiseg.splits.families import FULL
from semiseg.study import freshness, from_others, grid, tuning
from semiseg.study.plan import RESULTS, Run, tuning_file
from semiseg.study.product import Product
from semiseg.study.requirements import check_before_start, lost_start_weights
from semiseg.study.specs import DATA, Specs

TABLES = ("records.jsonl", "evaluations.npz", "tables/comparison.md", "metrics/summary.json")
FOLDERS = {"tables": ("tables", "metrics")}


class Study:
    """One suite of params.yaml and its products on disk."""

    def __init__(self, params: Params, suite: str | None = None) -> None:
        self.params = params
        self.name = suite or params.suite
        self.plan = grid.plan(params, self.name)
        self.suite = params.suites[self.name]
        self.folder = RESULTS / self.name
        self.specs = Specs(params, self.suite, self.folder)
        # Configurations of tuned runs before the best trial is known.
        self._asked = {run.path: run.config for run in self.plan.runs}
        self.plan = tuning.settled(self)

    @classmethod
    def load(cls, suite: str | None = None, path: str | Path = "params.yaml") -> Study:
        params = loading.load(path, None if suite is None else str(suite))  # Snakemake reads `2024` as a number
        study = cls(params)
        if from_others.take_in(study):
            study = cls(params)  # with the settings of the tuned runs
            from_others.take_in(study)
        return study

    def as_tuned(self, run: Run) -> Run:
        """The run with the best setting, also if its tuning ended after this study was loaded."""
        return tuning.with_best(run, {run.tuned_by: read_json(run.tuned_by)})

    def check_before_start(self) -> None:
        """Check all of params.yaml. The driver does it once at the start; jobs do not."""
        check_before_start(self.params, self.plan)

    def check_before_training(self) -> None:
        """Check what matters only if a run must be trained."""
        problem = lost_start_weights(self.suite.recipe.network, self.name)
        if problem and not all(product.fresh() for product in self.runs.values()):
            raise UserError(problem)

    def check_before_looking_on(self) -> None:
        """Refuse a dry run with another configuration while a driver works: jobs of that driver read the requests."""
        if not all(product.is_asked() for product in self.runs.values()):
            raise UserError(
                "snakemake is running in this folder with another configuration; `semiseg plan` shows the plan of this "
                "configuration, `semiseg status` shows what runs now"
            )

    @functools.cached_property
    def needs(self) -> Needs:
        """The resources that the suite's trainings request from the scheduler."""
        return Needs(self.plan.runs, self.suite.runtime.model_dump())

    # ---------------------------------------------------------------- products, in the order of the chain

    @functools.cached_property
    def data(self) -> dict[str, Product]:
        """The suite's data set, and that of the trials if it differs."""
        names = (self.suite.dataset, *(run.dataset for run in self.plan.runs))
        return {name: self.data_product(name) for name in dict.fromkeys(names)}

    def data_product(self, name: str) -> Product:
        manifest = DATA / name / "manifest.json"
        arguments = (name, self.params.datasets[name], DATA)
        wanted, carried = (
            functools.partial(preparing.wanted, *arguments),
            functools.partial(preparing.carried, *arguments),
        )
        return Product("data", name, (manifest,), wanted, carried)

    @functools.cached_property
    def splits(self) -> dict[str, Product]:
        """The lists, by path below `splits/` without the suffix."""
        files = {self.specs.split_file(run): run for run in self.plan.runs}
        return {self._list_name(path): self._split(path, run) for path, run in files.items()}

    def _list_name(self, path: Path) -> str:
        return str(path.relative_to(self.folder / "splits").with_suffix(""))

    def _split(self, path: Path, run: Run) -> Product:
        family = FULL if run.partition == FULL else run.family
        return Product(
            "split",
            f"{self.name}/{self._list_name(path)}",
            (path,),
            lambda: split_files.wanted(family, run.partition, self.specs.data_sha256(run.dataset), run.dataset),
            lambda: peek_json(path, "made_from"),
            {"family": family, "partition": run.partition, "dataset": run.dataset},
        )

    @functools.cached_property
    def runs(self) -> dict[Path, Product]:
        return {run.path: self._run(run) for run in self.plan.runs}

    def _run(self, run: Run) -> Product:
        folder = RunFolder(run.path)
        content = {
            "config": self._asked[run.path],
            "at_default": self.specs.at_default(run),
            "runtime": self.suite.runtime.model_dump(mode="json"),
            "dataset": self.params.datasets[run.dataset].model_dump(mode="json"),
            "splits": str(self.specs.split_file(run).parent),
            "tuned_by": run.tuned_by and str(run.tuned_by),
            "twin": str(run.twin) if run.twin in self._asked else None,
            "collected": None if run.path in self._needed else str(self.folder),
        }
        return Product(
            "run",
            f"{run.suite}/{run.name}",
            (run.path / "spec.json",),
            lambda: self._wanted_of_run(run),
            lambda: folder.spec_sha256 if folder.complete and not self.lacks_weights(run) else None,
            content,
            lambda: freshness.undamaged(folder),
            place="tuned run" if run.tuned_by else "run",
        )

    def lacks_weights(self, run: Run) -> bool:
        """Whether the run was collected, and its weights are needed for a training that is yet to come."""
        if not RunFolder(run.path).without_weights:
            return False
        students = [other for other in self.plan.runs if run.path in (one.path for one in other.needs.values())]
        return not all(self.runs[other.path].fresh() for other in students)

    def _wanted_of_run(self, run: Run) -> str:
        if run.tuned_by and not self.tunings[run.method].fresh():
            return f"pending: the setting in {run.tuned_by}"
        return self.specs.sha256(run)

    @functools.cached_property
    def evaluations(self) -> dict[Path, Product]:
        return {run.path: self._evaluation(run) for run in self.plan.runs}

    def _evaluation(self, run: Run) -> Product:
        path = run.path / "eval.json"
        name = f"{run.suite}/{run.name}"
        return Product(
            "evaluation",
            name,
            (path,),
            lambda: freshness.of_evaluation(run.path),
            lambda: {key: peek_json(path, key) for key in ("spec_sha256", "code")},
            sound=lambda: seal.is_whole(path),
        )

    @functools.cached_property
    def scores(self) -> Product:
        """The evaluations of all runs: each training writes one, and one job makes those that are missing."""
        path = self.folder / "stages" / "scores.json"
        evaluations = tuple(run.path / "eval.json" for run in self.plan.runs)

        def wanted() -> dict[str, Any]:
            return {"code": freshness.evaluation_code(), "runs": self._hashes(self.plan.runs)}

        def sound() -> bool:
            return all(product.fresh() for product in self.evaluations.values())

        return Product("evaluation", self.name, (path, *evaluations), wanted, lambda: peek_json(path), sound=sound)

    @functools.cached_property
    def tunings(self) -> dict[str, Product]:
        """The result of tuning, by method."""
        return {method: self._tuning(method, runs) for method, runs in tuning.trials_by_method(self.plan).items()}

    def must_precede(self, run: Run) -> list[Path]:
        """The files that a tuned run needs first: the result of tuning, and the spec of the run that it may equal."""
        twin = [run.twin / "spec.json"] if run.twin in self._asked else []
        return [run.tuned_by, *twin] if run.tuned_by else []

    def _tuning(self, method: str, runs: list[Run]) -> Product:
        path = tuning_file(self.name, method)
        wanted, carried = functools.partial(tuning.wanted, self, runs), functools.partial(tuning.carried, path)
        return Product("tuning", f"{self.name}/{method}", (path,), wanted, carried)

    @functools.cached_property
    def stages(self) -> dict[str, Product]:
        """Lists of the runs, with specs, of the comparison and of the ablations.

        DVC passes them from stage to stage.
        """
        return {"train": self._stage("train", True), "ablations": self._stage("ablations", False)}

    def _stage(self, name: str, comparison: bool) -> Product:
        path = self.folder / "stages" / f"{name}.json"
        cells = [cell for cell in self.plan.cells if (cell.kind == "comparison") == comparison]

        def wanted() -> dict[str, str]:
            return self._hashes(run for cell in cells for run in cell.runs)

        return Product("stage", f"{self.name}/{name}", (path,), wanted, lambda: peek_json(path))

    def assembled(self, kind: str, files: Iterable[str]) -> Product:
        """Tables, plots or report; inputs are all evaluations and records, and the code of that kind.

        Each output folder carries a stamp, because git may restore one folder and DVC another.
        """
        stamps = [self.folder / folder / "made_from.json" for folder in FOLDERS.get(kind, (kind,))]
        paths = (*stamps, *(self.folder / name for name in files))

        def wanted() -> dict[str, Any]:
            made_from = {"records": self.records_sha256(), "code": freshness.assembling_code(kind)}
            return made_from | ({"pictures": self.redistributable} if kind == "report" else {})

        def carried() -> Any:
            found = [freshness.stamped(stamp) for stamp in stamps]
            return found[0] if all(one == found[0] for one in found) else None

        folder = self.folder / "report" if kind == "report" else None
        return Product(kind, self.name, paths, wanted, carried, folder=folder)

    @property
    def plots(self) -> dict[str, dict[str, str]]:
        """Name of each plot -> title and caption."""
        return captions.of_study(self.suite.ablations)

    def products(self) -> dict[str, dict[Any, Product]]:
        """All products, by kind and by the name that the rules use."""
        return {
            "data": self.data,
            "split": self.splits,
            "run": self.runs,
            "tuning": self.tunings,
            "stage": self.stages,
            "evaluation": {self.name: self.scores},
            "tables": {self.name: self.assembled("tables", TABLES)},
            "plots": {self.name: self.assembled("plots", ["README.md", *(f"plots/{name}.svg" for name in self.plots)])},
            "report": {self.name: self.assembled("report", ["report/index.html"])},
        }

    @functools.cached_property
    def _needed(self) -> set[Path]:
        """Runs whose weights others need; a training of such a run does not look for a collected run."""
        return {one.path for run in self.plan.runs for one in run.needs.values()}

    def _hashes(self, runs: Iterable[Run]) -> dict[str, str]:
        return {name: self.specs.sha256(run) for name, run in sorted({run.name: run for run in runs}.items())}

    @property
    def redistributable(self) -> bool:
        """Whether the report may show the data set's images."""
        return self.params.datasets[self.suite.dataset].redistributable

    @property
    def setting(self) -> methods.Setting:
        recipe = self.suite.recipe.model_dump(mode="json")
        return methods.Setting.of(recipe, self.params.datasets[self.suite.dataset].kind)

    def records_sha256(self) -> str:
        """Hash of all inputs of the tables: cells, the bootstrap's block, every evaluation and record."""
        folders = [run.path for run in self.plan.runs] + [theirs.folder.path for theirs in from_others.beside(self)]
        files = [folder / name for folder in folders for name in ("eval.json", "record.json", "corruptions.json")]
        cells = [[cell.kind, cell.arm, cell.variant, [run.name for run in cell.runs]] for cell in self.plan.cells]
        titles = {name: ablation.title for name, ablation in self.suite.ablations.items()}
        shown = [cells, self.suite.title, titles, self.suite.block]
        return sha256_json([*shown, [sha256_file(path) if path.exists() else None for path in files]])

    def run_at(self, path: str | Path) -> Run:
        """The run with the folder `path`."""
        from semiseg.base.explain import nearest

        found = {str(run.path): run for run in self.plan.runs}
        wanted = str(path).rstrip("/")
        if wanted not in found:
            raise UserError(f"{wanted} is not a run of the suite {self.name}{nearest(wanted, found)}")
        return found[wanted]
