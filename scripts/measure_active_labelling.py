"""Does `semiseg advise --label` choose better images than chance? From 20 labels to 40, by both, on one data set.

    python scripts/measure_active_labelling.py prepare SUITE [--labels 20] [--lists 3]
    snakemake --profile local all --config suite=SUITE_active_start
    python scripts/measure_active_labelling.py choose SUITE
    snakemake --profile local all --config suite=SUITE_active
    python scripts/measure_active_labelling.py report SUITE

`prepare` draws the lists of labels to start with and writes both suites into params.local.yaml, with the recipe, the
evaluation and the seeds of SUITE and the first of the recommended methods. `choose` lets each list's first seed rank
the other images of the training pool, whose masks it does not see, and adds as many as there were: chosen, or drawn at
random. `report` prints the gain of choosing over drawing with its interval, over seeds, lists and images.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.advice.ranking import rank
from semiseg.advice.trial import Trial, result_of
from semiseg.base.files import read_json, write_json, write_text
from semiseg.datasets.dataset import open_dataset
from semiseg.params import loading, local
from semiseg.report import statistics
from semiseg.splits.order import keyed_order
from semiseg.study.study import DATA, Study
from semiseg.study.suite_proposal import recommended

WAYS = ("chosen", "random")


def lists_folder(dataset: str) -> Path:
    return DATA / dataset / "lists"


def write_list(dataset: str, name: str, ids: list[str]) -> None:
    write_text(lists_folder(dataset) / f"{name}.txt", "".join(f"{one}\n" for one in sorted(ids)))


def suite_like(raw: dict[str, Any], partitions: list[str]) -> dict[str, Any]:
    """The suite with these lists, and one method."""
    kept = {key: raw[key] for key in ("dataset", "seeds", "recipe", "evaluation", "runtime") if key in raw}
    return kept | {"splits": {"family": "own", "partitions": partitions}, "methods": {recommended()[0]: {}}}


def prepare(suite: str, labels: int, lists: int) -> None:
    params = loading.load(suite=suite)
    chosen = params.suites[suite]
    dataset = open_dataset(chosen.dataset, params.datasets[chosen.dataset])
    pool = [one.id for one in dataset.subsets["train"]]
    for number in range(lists):
        write_list(chosen.dataset, f"start_{number}", keyed_order(pool, f"active:{number}")[:labels])
    raw = chosen.model_dump(mode="json", exclude_unset=True)
    names = range(lists)
    local.write({"suites": {
        f"{suite}_active_start": suite_like(raw, [f"start_{k}" for k in names]),
        f"{suite}_active": suite_like(raw, [f"{way}_{k}" for k in names for way in WAYS]),
    }})  # fmt: skip


def choose(suite: str) -> None:
    study = Study.load(f"{suite}_active_start")
    name = study.suite.dataset
    dataset = open_dataset(name, study.params.datasets[name])
    train = {one.id: one for one in dataset.subsets["train"]}
    picked = {}
    for run in study.plan.runs:
        if run.seed != min(study.suite.seeds):
            continue
        split = read_json(study.split_file(run))
        number = run.partition.removeprefix("start_")
        start = split["labelled"]
        others = [one for one in train if one not in set(start)]
        candidates = [(one, train[one].image, train[one].group) for one in others]
        picks = rank(run.path, candidates, [train[one].image for one in start], len(start))
        picked[number] = {pick.seen.id: pick.reason for pick in picks}
        write_list(name, f"chosen_{number}", [*start, *picked[number]])
        write_list(name, f"random_{number}", [*start, *keyed_order(others, f"active random:{number}")[: len(start)]])
    write_json(study.folder / "picked.json", picked)


def report(suite: str) -> None:
    study = Study.load(f"{suite}_active")
    results = {cell.partition: found for cell in study.plan.cells if (found := result_of(study, cell))}
    first = next(iter(results.values()))
    classes, on = tuple(first.evaluations[0].classes), study.suite.evaluation.evaluated_on
    trial = Trial(study, tuple(results.values()), on, classes, len(study.plan.runs), len(study.plan.runs))
    values, draws, of_pair = [], [], []  # of_pair: list and number of the seed
    for number in sorted({name.partition("_")[2] for name in results}):
        chosen, drawn = (results[f"{way}_{number}"] for way in WAYS)
        for seed, (ours, theirs) in enumerate(trial.pairs(chosen, drawn)):
            values.append(ours[0] - theirs[0])
            draws.append(ours[1] - theirs[1])
            of_pair.append((number, seed))
    found = statistics.over_all(values, np.atleast_2d(np.cov(np.stack(draws))), trial.units, of_pair)
    print(
        json.dumps({"gain": found.estimate, "low": found.low, "high": found.high, "covers": found.covers, "n": found.n})
    )
    verdict = "is better than" if found.low > 0 else "is worse than" if found.high < 0 else "cannot be told from"
    print(f"choosing {verdict} drawing at random: {found.estimate:+.1f} mIoU ({found.low:+.1f} to {found.high:+.1f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("prepare", "choose", "report"))
    parser.add_argument("suite")
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--lists", type=int, default=3)
    options = parser.parse_args()
    if options.step == "prepare":
        prepare(options.suite, options.labels, options.lists)
    else:
        {"choose": choose, "report": report}[options.step](options.suite)


if __name__ == "__main__":
    main()
