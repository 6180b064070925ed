"""Compare images chosen by `semiseg advise --label` with random images: from 20 to 40 labels, on one data set.

    python scripts/measure_active_labelling.py prepare SUITE [--labels 20] [--lists 3] [--method NAME]
    snakemake --profile local all --config suite=SUITE_active_start
    python scripts/measure_active_labelling.py choose SUITE
    snakemake --profile local all --config suite=SUITE_active
    python scripts/measure_active_labelling.py report SUITE

`prepare` draws the first lists of labelled images and writes both suites into params.local.yaml, with the recipe,
evaluation and seeds of SUITE, and one method, by default the first recommended method. The first suite trains only the
first seed. In `choose` this training ranks the remaining images of the pool without their masks. The list is doubled:
with the best-ranked images, or with random images. `report` writes a table of the finished pairs of trainings, and a
page with the gain and its interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semiseg.advice.ranking import rank
from semiseg.advice.trial import Result, Trial, result_of
from semiseg.base.errors import UserError
from semiseg.base.files import read_json, write_json, write_text
from semiseg.datasets.dataset import open_dataset
from semiseg.params import loading, local
from semiseg.report import statistics
from semiseg.report.statistics import Interval
from semiseg.splits.order import keyed_order
from semiseg.study.study import DATA, Study
from semiseg.study.suite_proposal import recommended

WAYS = ("chosen", "random")
Row = dict[str, Any]  # list, seed, and the mIoU of both ways


def lists_folder(dataset: str) -> Path:
    return DATA / dataset / "lists"


def write_list(dataset: str, name: str, ids: list[str]) -> None:
    write_text(lists_folder(dataset) / f"{name}.txt", "".join(f"{one}\n" for one in sorted(ids)))


def suite_like(raw: dict[str, Any], partitions: list[str], method: str) -> dict[str, Any]:
    """The suite with these lists, and one method."""
    kept = {key: raw[key] for key in ("dataset", "seeds", "recipe", "evaluation", "runtime") if key in raw}
    return kept | {"splits": {"family": "own", "partitions": partitions}, "methods": {method: {}}}


def prepare(suite: str, labels: int, lists: int, method: str) -> None:
    params = loading.load(suite=suite)
    chosen = params.suites[suite]
    dataset = open_dataset(chosen.dataset, params.datasets[chosen.dataset])
    pool = [one.id for one in dataset.subsets["train"]]
    for number in range(lists):
        write_list(chosen.dataset, f"start_{number}", keyed_order(pool, f"active:{number}")[:labels])
    raw = chosen.model_dump(mode="json", exclude_unset=True)
    names = range(lists)
    start = raw | {"seeds": [min(chosen.seeds)]}
    local.write({"suites": {
        f"{suite}_active_start": suite_like(start, [f"start_{k}" for k in names], method),
        f"{suite}_active": suite_like(raw, [f"{way}_{k}" for k in names for way in WAYS], method),
    }})  # fmt: skip


def choose(suite: str) -> None:
    study = Study.load(f"{suite}_active_start")
    name = study.suite.dataset
    dataset = open_dataset(name, study.params.datasets[name])
    train = {one.id: one for one in dataset.subsets["train"]}
    picked = {}
    for run in study.plan.runs:
        split = read_json(study.specs.split_file(run))
        number = run.partition.removeprefix("start_")
        start = split["labelled"]
        others = [one for one in train if one not in set(start)]
        candidates = [(one, train[one].image, train[one].group) for one in others]
        picks = rank(run.path, candidates, [train[one].image for one in start], len(start))
        picked[number] = {pick.seen.id: pick.reason for pick in picks}
        write_list(name, f"chosen_{number}", [*start, *picked[number]])
        write_list(name, f"random_{number}", [*start, *keyed_order(others, f"active random:{number}")[: len(start)]])
    write_json(study.folder / "picked.json", picked)


def report(suite: str, out: Path) -> None:
    study = Study.load(f"{suite}_active")
    pairs = finished_pairs(study)
    if not pairs:
        raise UserError(
            f"{study.name} has no finished pair of trainings yet; `snakemake --profile local all --config "
            f"suite={study.name}` trains what is missing"
        )
    first, on = next(iter(pairs.values()))[0], study.suite.evaluation.evaluated_on
    runs = len(study.plan.runs)
    trial = Trial(study, (first,), on, tuple(first.evaluations[0].classes), runs, 2 * len(pairs))
    rows: list[Row] = []
    draws = []
    for (number, seed), (chosen, drawn) in pairs.items():
        [((ours, our_draws), (theirs, their_draws))] = trial.pairs(chosen, drawn).values()
        rows.append({"list": number, "seed": seed, "chosen": ours, "random": theirs, "gain": ours - theirs})
        draws.append(our_draws - their_draws)
    found = statistics.over_all([row["gain"] for row in rows], np.atleast_2d(np.cov(draws)), trial.units, list(pairs))
    how = {"dataset": study.suite.dataset, "method": first.method, "network": first.network, "labels": first.labelled}
    how["iterations"] = study.plan.runs[0].iterations
    table = pd.DataFrame([how | row for row in rows]).to_csv(index=False, float_format="%.4f", lineterminator="\n")
    write_text(out / f"active_labelling_{suite}.csv", table)
    write_text(out / f"active_labelling_{suite}.md", as_page(how, on, rows, found))
    print(sentence(found))


def finished_pairs(study: Study) -> dict[tuple[str, int], tuple[Result, Result]]:
    """(list, seed) -> the training with chosen labels and the one with drawn labels, where both are finished."""
    results = {cell.partition: found for cell in study.plan.cells if (found := result_of(study, [cell]))}
    pairs = {}
    for number in sorted({name.partition("_")[2] for name in results}):
        chosen, drawn = (_by_seed(results.get(f"{way}_{number}")) for way in WAYS)
        pairs |= {(number, seed): (chosen[seed], drawn[seed]) for seed in sorted(chosen.keys() & drawn.keys())}
    return pairs


def _by_seed(result: Result | None) -> dict[int, Result]:
    if result is None:
        return {}
    return {
        drawn[1]: replace(result, evaluations=(evaluations,), runs=(run,), drawn=(drawn,))
        for run, evaluations, drawn in zip(result.runs, result.evaluations, result.drawn, strict=True)
    }


def sentence(found: Interval) -> str:
    unsure = "cannot be distinguished from"
    verdict = "is better than" if found.low > 0 else "is worse than" if found.high < 0 else unsure
    interval = f"{found.estimate:+.1f} mIoU [{found.low:+.1f}, {found.high:+.1f}]"
    return f"Choosing {verdict} drawing at random: {interval}, over {found.covers.replace('+', ', ')}; {found.n} pairs."


def as_page(how: Mapping[str, Any], on: str, rows: list[Row], found: Interval) -> str:
    table = "".join(
        f"| {row['list']} | {row['seed']} | {row['chosen']:.1f} | {row['random']:.1f} | {row['gain']:+.1f} |\n"
        for row in rows
    )
    return (
        f"# Labels chosen by `semiseg advise --label`, and labels drawn at random\n\n"
        f"`{how['dataset']}`, {how['labels'] // 2} labels to start with and {how['labels']} in the end, "
        f"`{how['method']}`, {how['iterations']} iterations; mIoU of the {how['network']} on {on}, in percent. Made by "
        f"`scripts/measure_active_labelling.py`.\n\n{sentence(found)} Intervals are 95 %.\n\n"
        f"| list | seed | chosen | random | gain |\n|---|---|---|---|---|\n{table}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("prepare", "choose", "report"))
    parser.add_argument("suite")
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--lists", type=int, default=3)
    parser.add_argument("--method", default=recommended()[0])
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args()
    if options.step == "prepare":
        prepare(options.suite, options.labels, options.lists, options.method)
    elif options.step == "choose":
        choose(options.suite)
    else:
        report(options.suite, options.out)


if __name__ == "__main__":
    main()
