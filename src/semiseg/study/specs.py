"""The current specs of a suite's runs, and the hashes of data and lists that they contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from semiseg import methods
from semiseg.base.files import peek_json, sha256_json
from semiseg.datasets import preparing
from semiseg.datasets.manifest import manifest_path
from semiseg.params.defaults import at_default
from semiseg.params.schema import Params, Suite
from semiseg.runs import spec
from semiseg.runs.run_folder import RunFolder
from semiseg.splits.families import split_name
from semiseg.study.plan import Cell, Run

DATA = Path("data")


class Specs:
    """Current specs, which are compared with those of finished runs."""

    def __init__(self, params: Params, suite: Suite, folder: Path) -> None:
        self.params, self.suite, self.folder = params, suite, folder
        self._data: dict[str, str] = {}  # data set -> hash, once the data set is prepared
        self._lists: dict[Path, str] = {}  # file of a list of labelled images -> hash, once the list is made
        self._known: dict[tuple[Any, ...], str] = {}
        self._standing: dict[str, set[str]] = {}  # hash of blocks -> their keys at their default

    def wanted(self, run: Run, carried: dict[str, Any] | None = None) -> dict[str, Any]:
        """The current spec of a run.

        `carried`: the spec of a finished run to compare with; default: that in the run's folder.
        """
        current = spec.make_spec(run.config, self.data_sha256(run.dataset), self._list_sha256(run))
        return spec.as_carried(current, carried or RunFolder(run.path).spec, self.at_default(run))

    def sha256(self, run: Run) -> str:
        """The hash of the current spec. The key has data and list, which may be made while a driver works."""
        key = (run.path, self.data_sha256(run.dataset), self._list_sha256(run))
        if key not in self._known:
            self._known[key] = spec.spec_sha256(self.wanted(run))
        return self._known[key]

    def forget(self) -> None:
        """Clear the cache after a change in run folders: `wanted` depends on the specs in them."""
        self._known.clear()

    def data_sha256(self, dataset: str) -> str | None:
        """The hash of a data set; it is read again until the data are prepared."""
        if dataset in self._data:
            return self._data[dataset]
        found = preparing.data_sha256(dataset, DATA)
        # The check writes the manifest first and adds its inputs later; the addition changes the hash.
        if peek_json(manifest_path(dataset, DATA), "made_from") is not None:
            self._data[dataset] = found
        return found

    def extra_images(self, dataset: str) -> int:
        """Images without labels that belong to no list: every training may learn from them."""
        subsets = peek_json(manifest_path(dataset, DATA), "subsets") or {}
        return subsets.get("extra", {}).get("images", 0)

    def split_file(self, place: Run | Cell) -> Path:
        """The file of a list. Lists of the trials' data set, if it is another one, lie in a folder with its name."""
        own = getattr(place, "dataset", self.suite.dataset) == self.suite.dataset
        folder = self.folder / "splits" if own else self.folder / "splits" / place.dataset
        return folder / f"{split_name(place.family, place.partition)}.json"

    def _list_sha256(self, run: Run) -> str | None:
        path = self.split_file(run)
        if self._lists.get(path) is None:
            self._lists[path] = peek_json(path, "sha256")
        return self._lists[path]

    def at_default(self, run: Run) -> list[str]:
        """The keys with default values in the configurations of the run and of the runs that it needs."""
        fields = methods.load(run.method).Options.model_fields.items()
        standing = {
            key
            for key, field in fields
            if run.options.get(key) == to_jsonable_python(field.get_default(call_default_factory=True))
        }
        needed = (key for name, one in run.needs.items() for key in spec.as_needed(self.at_default(one), name))
        return sorted({*self._blocks_at_default(run), *(f"method.options.{key}" for key in standing), *needed})

    def _blocks_at_default(self, run: Run) -> set[str]:
        """Of the run itself: variants, trials and mask heads have other recipes than the suite."""
        blocks = run.config["recipe"], run.config["evaluation"], run.dataset
        key = sha256_json(blocks)
        if key not in self._standing:
            found = {
                "recipe": type(self.suite.recipe).model_validate(blocks[0]),
                "evaluation": type(self.suite.evaluation).model_validate(blocks[1]),
                "dataset": self.params.datasets[run.dataset],
            }
            self._standing[key] = {path for name, block in found.items() for path in at_default(block, name)}
        return self._standing[key]
