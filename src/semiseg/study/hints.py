"""Warnings before a study starts; they are not errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.datasets import changes

if TYPE_CHECKING:
    from semiseg.study.study import Study

AFFECTS_RESULTS = False

LONG = 30 * 86400  # seconds; a longer training is probably a mistake


def hints(study: Study, done: Collection[Path], costs: Mapping[Path, Any]) -> list[str]:
    found = []
    name = study.suite.dataset
    if not study.data[name].fresh() and (changed := changes.since_check(name, study.params.datasets[name])):
        found.append(
            f"the files of {name} have changed since they were prepared: {changed}. The next `snakemake` prepares them "
            f"again, and then trains {len(done)} runs again that are done; to keep these, put the former files back"
        )
    longest = max((costs[run.path].seconds for run in study.plan.runs if run.path not in done), default=0)
    if longest > LONG:
        found.append(
            f"one training takes {longest / 86400:,.0f} days here: lower suites.{study.name}.recipe.iterations "
            f"({study.suite.recipe.iterations:,}), or choose a smaller network or crop"
        )
    return found
