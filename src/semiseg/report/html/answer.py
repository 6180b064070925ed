"""What the first page says: what was run, who leads, with what significance and cost, and what to be careful with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from semiseg.report import control_figures, names
from semiseg.report.cells import BASELINE, FULL
from semiseg.report.run_health import BANNER, UNLIKE, WARNING
from semiseg.report.table import Table
from semiseg.report.tables import cost, headline, leaders

Row = Mapping[str, Any]
Tables = Mapping[str, Table]
ALL_LABELS = "With all labels no unlabelled image is left, so supervised training stands alone here."
# Kind of a finding -> how the first page sums it up; the table of health has each in full.
SUMMED_UP = {
    "nothing_selected": "Hardly any pixel has a pseudo-label at the end",
    "far_below": "Trainings end far below supervised",
    "collapsed_class": "A class is not found in some trainings",
    "failed": "Trainings failed",
    UNLIKE: "The mean is over trainings with different precision, device or start weights",
}


def answer(tables: Tables) -> list[str]:
    """In sentences, the split and head with most candidates first; then cost, and what is missing."""
    led = sorted(tables["leaders"].rows, key=lambda row: -row["candidates"])
    if not led:
        return [control_figures.sentences(tables) or leaders.NOTHING, *banners(tables)]
    here = _at(led[0], headline(tables).rows)
    return [*banners(tables), *(row["sentence"] for row in led), *_cost(led[0], here, tables), *unfinished(tables)]


def banners(tables: Tables) -> list[str]:
    return list(dict.fromkeys(row["text"] for row in tables["health"].rows if row["severity"] == BANNER))


def unfinished(tables: Tables) -> list[str]:
    rows = headline(tables).rows
    cells = [row for row in rows if row["state"] not in ("done", "not_applicable")]
    are = "is" if len(cells) == 1 else "are"
    said = [f"{len(cells)} of {len(rows)} cells {are} not finished."] if cells else []
    if max((row["seeds"] for row in rows), default=0) == 1:
        said.append("One seed was run, so no difference can be compared with what another seed would change.")
    return said


def ran(tables: Tables) -> str:
    """One line on the cells that have a figure: variants, labels, seeds, draws of labels, iterations."""
    planned = [row for row in headline(tables).rows if row["state"] != "not_applicable"]
    rows = [row for row in planned if row["miou_last_mean"] is not None] or planned
    sizes = sorted({row["labelled"] for row in rows if row["labelled"] and row["partition"] != FULL})
    labels = _listed([f"{size:,}" for size in sizes]) + (" labels" if sizes else "")
    if any(row["partition"] == FULL for row in rows):
        labels = f"{labels} and all of them" if sizes else "all labels"
    partial = [row for row in rows if row["partition"] != FULL] or rows
    per_list = [-(-row["seeds_planned"] // max(1, row["lists"])) for row in partial]
    variants = len({(row["method"], row["variant"]) for row in rows})
    seeds, draws = _counted({*per_list}, "seed"), _counted({row["lists"] for row in partial}, "draw")
    several = max((row["lists"] for row in partial), default=1) > 1
    drawn = f"{draws} of the labelled images"
    parts = (
        f"{_counted({variants}, 'variant')} of {_counted({len({row['method'] for row in rows})}, 'method')}",
        labels,
        f"{drawn}, with {seeds} each" if several else f"{seeds}; {drawn}",
        f"{_listed(sorted({row['iterations'] for row in partial}))} iterations",
    )
    return "; ".join(parts) + "."


def points(rows: Sequence[Row], tables: Tables) -> list[tuple[str, list[str]]]:
    """(question, sentences) of one number of labels, its head with most candidates first."""
    led = [
        row for row in tables["leaders"].rows if all(row[key] == rows[0][key] for key in ("split_family", "partition"))
    ]
    led.sort(key=lambda row: -row["candidates"])
    full, tested = rows[0]["partition"] == FULL, control_figures.sentences(tables)
    if led or full or not tested:
        alone = ALL_LABELS if full else leaders.NOTHING
        found = [("Leading group", [row["leads"] for row in led] or [alone])]
    else:
        found = [("Controls", [tested])]
    said = [(row["head"].capitalize(), row["surely"]) for row in led if row["surely"]]
    surely = [f"{head} head: {text}" if len(said) > 1 else text for head, text in said]
    found.append(("Significantly better", surely))
    if led:
        found.append(("Cost", _cost(led[0], _at(led[0], rows), tables)))
        found.append(("Gap to all labels", _gap(led[0])))
    found.append(("Read with care", _warnings(rows, tables)))
    return [(question, sentences) for question, sentences in found if sentences]


def _at(place: Row, rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if all(row[key] == place[key] for key in ("split_family", "partition", "head"))]


def _cost(place: Row, here: Sequence[Row], tables: Tables) -> list[str]:
    """Costs of the top method and of the cheapest one of the leading group."""
    base = next(
        (seconds for row in here if row["role"] == BASELINE and (seconds := cost.spent(row, tables["cost"]))), None
    )
    leading = [(seconds, row) for row in here if row["leading"] and (seconds := cost.spent(row, tables["cost"]))]
    if not base or not leading:
        return []

    def said(seconds: float) -> str:
        time = f"{seconds / 3600:.1f} h" if seconds > 7200 else f"{seconds / 60:.1f} min"
        return f"{time} of {device} time for a training, {seconds / base:.1f} times that of the baseline"

    device = cost.kind_of_time(tables["cost"].rows)
    least, cheapest = min(leading, key=lambda pair: pair[0])
    text = [f"The cheapest of the leading group is {names.of(cheapest)}: {said(least)}."]
    top = next((seconds for seconds, row in leading if names.of(row) == place["top"]), None)
    text += filter(None, [cost.caution(tables["cost"].rows, str(place["partition"]))])
    return [f"{place['top']} takes {said(top)}.", *text] if top and top > least else text


def _gap(place: Row) -> list[str]:
    """Share of the gap between supervised with these labels and supervised with all labels."""
    if place["gap_closed"] is None:
        return []
    return [f"{place['top']} closes {place['gap_closed']:.0f} % of the gap between supervised and all labels."]


def _warnings(rows: Sequence[Row], tables: Tables) -> list[str]:
    family, partition = (str(rows[0][key]) for key in ("split_family", "partition"))
    kind = family.partition(":")[0]
    here = [
        row for row in tables["health"].rows
        if row["severity"] == WARNING and row["partition"] == partition
        and str(row["split_family"]).partition(":")[0] == kind
    ]  # fmt: skip
    said = []
    measured = [row for row in rows if row["miou_last_mean"] is not None]
    reading = list(dict.fromkeys(row["label"] for row in measured if row["fidelity"] == "our reading"))
    if reading:
        said.append(f"Our reading of a paper without public code: {_listed(reading)}.")
    for what, words in SUMMED_UP.items():
        found = list(dict.fromkeys(row["label"] for row in here if row["kind"] == what))
        if found:
            said.append(f"{words}: {_listed(found)}.")
    return said


def _counted(numbers: set[int], word: str) -> str:
    low, high = min(numbers, default=0), max(numbers, default=0)
    return f"{low} {word}{'s' if low != 1 else ''}" if low == high else f"{low} to {high} {word}s"


def _listed(words: Sequence[Any]) -> str:
    texts = [str(word) for word in words]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""
