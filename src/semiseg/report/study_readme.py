"""results/<suite>/README.md: the study on one page that a code host shows. Made from its tables, records and plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.base import files
from semiseg.report import control_figures, names, run_health
from semiseg.report.cells import BASELINE, COMPARISON, FULL, METHOD, STRONG, partition_order
from semiseg.report.records import Records
from semiseg.report.table import Table, View, escape_markdown, markdown_table, read_all
from semiseg.report.tables import cost, headline, leaders, sensitivity

NAME = "README.md"
PLOTS = 4
# The plots that answer the first questions; others of the study follow where one of these could not be drawn.
FIRST = ("differences", "gain_against_cost", "cost", "label_efficiency", "class_iou", "training_curves")
VIEWS = (
    View("Method", ("label",), bold=True),
    View("mIoU", ("miou_last_mean", "miou_last_sd"), "mean_sd", bold=True),
    View("Network", ("network",)),
    View("Baseline", ("baseline_miou_last_mean",), "number"),
    View("Difference", ("delta_vs_supervised", "delta_ci_low", "delta_ci_high"), "interval"),
    View("Better in", ("better",)),
    View("Runs", ("runs",), "number", 0),
    View("p (Holm)", ("delta_p_holm",), "p"),
    View("Time", ("time",)),
)
READING = (
    "mIoU in percent after the last iteration, mean ± standard deviation over runs. Baseline: the supervised network "
    "of the same kind and head, over the same lists and seeds. Difference: to it, with its 95 % interval. Better in: "
    "runs above the baseline's with the same list and seed. Time: of one run and of the runs that it needs, on the "
    "{device}. Bold: the leading group, where some cells of the same schedule and with several runs are outside of it."
)

COLLECTED = "Only collected runs can be compared with a supervised baseline so far, and the answer leaves them out."

Row = Mapping[str, Any]


def build(suite: str, folder: Path, rows: Sequence[Row]) -> None:
    """Write the page; tables and plots must have been built."""
    records, tables = Records(suite, folder, rows), read_all(folder / "tables")
    drawn = files.read_json(folder / "plots/captions.json")
    files.write_text(folder / NAME, text(records, tables, drawn))


def text(records: Records, tables: Mapping[str, Table], drawn: Mapping[str, Any]) -> str:
    parts = [f"# `{records.suite}`", _what(records), *_answer(tables), *_results(tables), *_controls(tables)]
    parts += _plots(drawn)
    parts += ["## What is missing", _bullets(_missing(records)), "## Limits", _bullets(_limits(records, tables))]
    parts += ["## Commands", _commands(records), "## Files", _files(tables, drawn)]
    return "\n\n".join(parts) + "\n"


def _what(records: Records) -> str:
    """One line of what was run."""
    cells = [cell for cell in records.cells(COMPARISON) if cell.finished]
    runs = [run for run in records.runs if run.done]
    trials = sum((run.row.get("tuning") or {}).get("trial") is not None for run in runs)
    finished = _count(len(runs), "finished run") + (f", {trials} of them trials of the tuning" if trials else "")
    if not cells:
        return f"No run of the comparison is finished. {finished}." if runs else "No run of this study is finished."
    budgets = sorted({cell.labelled for cell in cells if cell.partition != FULL and cell.labelled})
    draws = Counter(partition for _, partition in {(run.split_family, run.partition) for run in runs})
    first, said = cells[0], [_count(len({names.of(cell) for cell in cells}), "variant") + f" on `{cells[0].dataset}`"]
    said += [f"{names.joined(map(str, budgets))} labels" if budgets else "all labels"]
    said += [_count(len({run.seed for run in runs}), "seed")]
    lengths = names.joined(f"{length:,}" for length in sorted({cell.iterations for cell in cells}))
    said += [_count(max(draws.values()), "draw") + " of the labelled images", f"{lengths} iterations"]
    said += [f"network `{' with '.join(dict.fromkeys(filter(None, (first.architecture, first.encoder))))}`"]
    run = first.finished[0]
    images = f"{_count(len(run.stored.images), 'image')} of " if run.stored else ""
    return f"{', '.join(said)}; scored on {images}`{run.eval['evaluated_on']}`. {finished}."


def _answer(tables: Mapping[str, Table]) -> Iterator[str]:
    """Warnings that stand above all; three sentences on the place with most candidates; a line for each other place."""
    for row in tables["health"].rows:
        if row["severity"] == run_health.BANNER:
            yield f"> **Warning.** {_sentence(row['text'])}"
    places = sorted(tables["leaders"].rows, key=lambda row: -row["candidates"])
    if not places:
        tested = control_figures.sentences(tables)
        collected = any(row["source"] and row["delta_vs_supervised"] is not None for row in headline(tables).rows)
        yield f"**Answer.** {tested}" if tested else COLLECTED if collected else leaders.NOTHING
        return
    yield f"**Answer.** {places[0]['sentence']}"
    kinds = _kinds(places)
    others = [f"{_place(row, kinds)}, {row['head']} head: {row['short']}" for row in places[1:]]
    if others:
        yield _bullets(others)


def _results(tables: Mapping[str, Table]) -> Iterator[str]:
    rows = [row for row in headline(tables).rows if row["miou_last_mean"] is not None]
    rows = [row for row in rows if row["role"] in (BASELINE, STRONG, METHOD)]
    places: dict[tuple[Any, ...], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["partition"] == FULL, partition_order(row))):
        places.setdefault((row["split_family"], row["partition"]), []).append(row)
    usual = Counter(row["head"] for row in rows).most_common(1)[0][0] if rows else ""
    if rows:
        yield "## Results"
    kinds = _kinds(rows)
    for here in places.values():
        yield f"### {_sentence(_place(here[0], kinds))}"
        compared = any(row["delta_seeds"] for row in here)
        shown = [_shown(row, tables, usual, compared) for row in sorted(here, key=_gain, reverse=True)]
        yield markdown_table([view for view in VIEWS if any(view.of(row) for row in shown)], shown)
    if rows:
        yield READING.format(device=cost.kind_of_time(tables["cost"].rows))


def _controls(tables: Mapping[str, Table]) -> Iterator[str]:
    found = list(control_figures.places(tables))
    if found:
        yield "## Controls"
    for row, table in found:
        yield f"### {_sentence(_labels(row))}"
        yield markdown_table(table.views, table.rows)
    if found:
        yield control_figures.READING


def _shown(row: Row, tables: Mapping[str, Table], usual: str, compared: bool) -> dict[str, Any]:
    head = "" if row["head"] == usual else f", {row['head']} head"
    shown = {**row, "label": names.of(dict(row)) + head, "time": _time(row, tables["cost"].rows)}
    if not compared:
        return shown | {"runs": row["seeds"]}
    better = f"{row['delta_above']} of {row['delta_seeds']}" if row["delta_seeds"] else _count(row["seeds"], "run")
    return shown | {"better": better}


def _gain(row: Row) -> float:
    return row["delta_vs_supervised"] or 0.0


def _time(row: Row, costs: Iterable[Row]) -> str | None:
    """Mean over lists, if the row is of several."""
    keys = ("split_family", "partition", "method", "variant", "head")
    same = [one for one in costs if one["kind"] == COMPARISON and all(one[key] == row[key] for key in keys)]
    known = [spent for one in same if (spent := one[cost.clock(one)])]
    return duration(sum(known) / len(known)) if known else None


def duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.1f} min"


def _plots(drawn: Mapping[str, Any]) -> Iterator[str]:
    order = [name for name in FIRST if name in drawn["order"]]
    order += [name for name in drawn["order"] if name not in order]
    if order:
        yield "## Plots"
    for name in order[:PLOTS]:
        caption = drawn["captions"][name]
        yield f"![{caption['title']}](plots/{name}.svg)\n\n*{caption['title']}.* {caption['caption']}"


def _missing(records: Records) -> list[str]:
    states = Counter(run.state for run in records.runs if run.run and not run.done)
    if not states:
        return ["Nothing: every planned run is finished."]
    command = f"`snakemake --profile local all --config suite={records.suite}` makes them"
    return [
        f"{_count(number, 'run')} {'' if state == 'failed' else 'is ' if number == 1 else 'are '}{state}; {command}"
        for state, number in sorted(states.items())
    ]


def _limits(records: Records, tables: Mapping[str, Table]) -> list[str]:
    covers = {(row["gain_covers"], row["evaluated_on"]) for row in tables["leaders"].rows if row["gain_covers"]}
    said = [f"The intervals cover {leaders.covered(*one)}." for one in sorted(covers)]
    said += filter(None, [sensitivity.sentences(records.over_lists() or records)])
    said += [
        "All methods share one recipe, except in variants that name their change. With other networks, schedules or "
        "options their order may be another."
    ]
    said += filter(None, [cost.caution(tables["cost"].rows)])
    said += [finding.text for finding in run_health.dirty(records)]
    found: dict[str, list[str]] = {}
    kinds: dict[str, set[str]] = {}
    for row in tables["health"].rows:
        whom = f"{row['label']} ({_labels(row)})" if row["label"] else ""
        seen = row["kind"] in kinds.setdefault(whom, set()) and whom  # of another list; the table of health has each
        if row["severity"] == run_health.WARNING and not seen:
            kinds[whom].add(row["kind"])
            found.setdefault(row["text"], []).append(whom)
    said += [f"{names.joined(dict.fromkeys(whom))}: {escape_markdown(words)}." for words, whom in found.items()]
    readings = {names.title(run.method) for run in records.runs if run.done and run.row["fidelity"] == "our reading"}
    if readings:
        said.append(f"{names.joined(sorted(readings))}: the paper leaves parts open, and there is no official code.")
    return said


def _commands(records: Records) -> str:
    suite = records.suite
    listed = {
        f"semiseg report verify results/{suite}": "make tables, plots and this page again, and compare",
        f"semiseg report html --suite {suite}": "the whole report, as pages",
        f"semiseg report bundle {suite}": "all of it in one zip",
        f"snakemake --profile local all --config suite={suite}": "train what is missing",
    }
    width = max(map(len, listed))
    return "\n".join(["```", *(f"{command:{width}}  # {words}" for command, words in listed.items()), "```"])


def _files(tables: Mapping[str, Table], drawn: Mapping[str, Any]) -> str:
    listed = [f"[{table.title}](tables/{name}.csv)" for name, table in tables.items()]
    plots = [f"[{drawn['captions'][name]['title']}](plots/{name}.svg)" for name in drawn["order"]]
    return _bullets([
        f"Tables: {', '.join(listed)}", *([f"Plots: {', '.join(plots)}"] if plots else []),
        "[records.jsonl](records.jsonl): one line for each run", "[evaluations.npz](evaluations.npz): the confusion "
        "matrices of every image, from which all figures are made",
    ])  # fmt: skip


def _labels(row: Row) -> str:
    if row["partition"] == FULL:
        return "all labels"
    return f"{row['labelled']:,} labels" if row["labelled"] else f"{row['partition']} of the labels"


def _kinds(rows: Iterable[Row]) -> set[str]:
    """Of lists: "random" and "stratified"."""
    return {row["split_family"].partition(":")[0] for row in rows if row["partition"] != FULL}


def _place(row: Row, kinds: Collection[str]) -> str:
    """Labels, and the lists where the study has several kinds."""
    named = len(kinds) > 1 and row["partition"] != FULL
    return _labels(row) + (f" (lists {row['split_family']})" if named else "")


def _sentence(words: str) -> str:
    return escape_markdown(words[0].upper() + words[1:])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
