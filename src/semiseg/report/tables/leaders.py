"""The answer of each split and head: who leads, by how much, and who is significantly above the baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from semiseg.report import names
from semiseg.report.cells import BASELINE, FULL, METHOD, STRONG, SUPERVISED, partition_order
from semiseg.report.run_health import BANNER, Finding
from semiseg.report.table import LISTED, Table, View
from semiseg.report.tables.comparison import difference_of
from semiseg.report.tables.pairs import LEVEL

NOTHING = "No method can be compared with the supervised baseline yet."
PLACE = ("dataset", "split_family", "split_sha256", "partition", "labelled", "head", "lists")
SCHEDULE = ("iterations", "crop", "encoder", "output_stride")  # of the cells that are ranked together
GAIN = ("gain", "gain_ci_low", "gain_ci_high", "gain_covers", "gain_p_holm")
COLUMNS = (
    *PLACE, "candidates", "top", "leading", "top_miou", *GAIN, "compared", "above_supervised", "below_supervised",
    "compared_with_strong", "above_strong", "gap_closed", "undertrained", "sentence",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("Head", ("head",)),
    View(
        "Leading group",
        ("leading",),
        help="the top, and all that do not differ significantly from it after Holm's correction over all pairs",
    ),
    View("Gain of the top", ("gain", "gain_ci_low", "gain_ci_high"), "interval"),
    View("covers", ("gain_covers",)),
    View("Above supervised", ("above_supervised",), "number", 0),
    View("of", ("compared",), "number", 0),
    View("Above strong", ("above_strong",), "number", 0),
    View("Gap closed %", ("gap_closed",), "number", 0),
    View("Undertrained", ("undertrained",)),
    LISTED,
)
# What an interval speaks for, in words.
COVERED = {"seeds": "seeds", "lists": "draws of the labelled images", "images": "test images"}

NAMED = 4  # names in a sentence; the table has all

Row = Mapping[str, Any]


def build(rows: Sequence[Row], findings: Sequence[Finding]) -> Table:
    """From the rows of the comparison (over lists, where there are several)."""
    places: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["miou_last_mean"] is not None and not row["source"]:
            here = places.setdefault(tuple(row[key] for key in PLACE), [])
            if row["trainings"] not in [one["trainings"] for one in here]:  # a tuned row may be the default
                here.append(row)
    unfit = {one.cell.head for one in findings if one.severity == BANNER and one.cell}
    corrected = {f"corrected{what}": len({difference_of(row, f"delta{what}_p") for row in rows
                                          if row[f"delta{what}_p_holm"] is not None})
                 for what in ("", "_vs_strong")}  # fmt: skip
    found = []
    for place, here in places.items():
        known = dict(zip(PLACE, place, strict=True))
        found.append(_row(known | corrected | {"undertrained": known["head"] in unfit}, here))
    answered = [row for row in found if row is not None]
    answered.sort(key=lambda row: (row["dataset"], partition_order(row), str(row["split_family"]), -row["candidates"]))
    return Table(
        "leaders",
        "Leading groups",
        "Who leads in each split and head. Heads are not compared with each other.",
        COLUMNS,
        VIEWS,
        tuple(answered),
        "Significantly above: p < 0.05 after Holm's correction over the differences of the comparison. "
        "A cell of one training has no p value, so it neither leads nor is significantly above.",
    )


def _row(place: dict[str, Any], here: Sequence[Row]) -> dict[str, Any] | None:
    """None where there is nothing but a baseline."""
    methods = [row for row in here if row["role"] in (METHOD, STRONG) and row["delta_vs_supervised"] is not None]
    if not methods:
        return None
    alike = _of_one_schedule(here)
    ranked = sorted((row for row in alike if row["leading"] is not None), key=_height)
    top = (ranked or sorted(alike, key=_height))[0]
    leading = [row for row in ranked if row["leading"]]
    tested = [row for row in methods if row["delta_p_holm"] is not None]
    strong = [row for row in methods if row["delta_vs_strong_p_holm"] is not None]
    above = sorted(sure(methods, "delta", +1), key=_height)
    above_strong = sorted(sure(strong, "delta_vs_strong", +1), key=_height)
    row = place | {
        "candidates": len(ranked),
        "top": names.of(top), "leading": ", ".join(map(names.of, leading)) or None, "top_miou": top["miou_last_mean"],
        "gain": top["delta_vs_supervised"], "gain_ci_low": top["delta_ci_low"], "gain_ci_high": top["delta_ci_high"],
        "gain_covers": top["delta_covers"], "gain_p_holm": top["delta_p_holm"], "evaluated_on": top["evaluated_on"],
        "compared": len(tested),
        "above_supervised": len(above), "above": ", ".join(map(names.of, above)),
        "below_supervised": len(sure(methods, "delta", -1)),
        "compared_with_strong": len(strong), "above_strong": len(above_strong),
        "over_strong": ", ".join(f"{names.of(one)} over {names.label(SUPERVISED, one['strong_variant'])}"
                                 for one in above_strong),
        "gap_closed": top["gap_closed"],
    }  # fmt: skip
    leads = f"{_leads(row, here, ranked, leading)}{_higher(here, top, ranked)}"
    surely = _count(row) if any(one["leading"] is not None for one in methods) else ""
    return row | {"sentence": " ".join(filter(None, (leads, _gain(top), surely))), "leads": f"{leads} {_gain(top)}",
                  "surely": surely, "short": _short(row, ranked)}  # fmt: skip


def _of_one_schedule(here: Sequence[Row]) -> list[Row]:
    """The rows that are trained as the baseline is; without a baseline those of the most frequent schedule."""
    schedules = [tuple(str(row[key]) for key in SCHEDULE) for row in here]
    base = [schedule for row, schedule in zip(here, schedules, strict=True) if row["role"] == BASELINE]
    usual = base[0] if base else max(schedules, key=schedules.count)
    return [row for row, schedule in zip(here, schedules, strict=True) if schedule == usual]


def _height(row: Row) -> float:
    return -row["miou_last_mean"]


def sure(rows: Iterable[Row], prefix: str, sign: int) -> list[Row]:
    """Rows whose difference has this sign and is significant after Holm's correction."""
    column = "delta_vs_supervised" if prefix == "delta" else prefix
    return [row for row in rows if (p := row[f"{prefix}_p_holm"]) is not None and p < LEVEL and sign * row[column] > 0]


def _leads(row: Row, here: Sequence[Row], ranked: Sequence[Row], leading: Sequence[Row]) -> str:
    labels = f"{row['labelled']:,} labels" if row["labelled"] else f"{row['partition']} of the labels"
    labels = "all labels" if row["partition"] == FULL else labels
    where = f"With {labels} ({row['head']} head)"
    if not ranked:
        single = max(one["seeds"] for one in here) == 1
        cells = "Each cell is one training" if single else "Fewer than two cells have several trainings"
        return f"{where} {row['top']} has the highest mIoU. {cells}, so another seed may change the order."
    if len(ranked) == 2:
        return f"{where} {names.of(ranked[0])} has a higher mIoU than {names.of(ranked[1])}."
    if len(leading) == len(ranked):
        return (
            f"{where} {names.of(ranked[0])} has the highest mIoU, but none of the other {len(leading) - 1} cells "
            f"differs significantly from it (corrected over all {math.comb(len(leading), 2)} pairs)."
        )
    if len(leading) == 1:
        return f"{where} {_names(leading)} leads."
    return f"{where} the leading group is {_names(leading)}: none of them differs significantly from the top."


def _higher(here: Sequence[Row], top: Row, ranked: Sequence[Row]) -> str:
    """Names the cells that stand above the top, but are not ranked with it."""
    higher = [row for row in here if row not in ranked and row["miou_last_mean"] > top["miou_last_mean"]]
    if not higher:
        return ""
    said = [
        f"{names.of(row)} ({row['miou_last_mean']:.1f}, "
        + (f"{row['iterations']:,} iterations)" if row["iterations"] != top["iterations"] else
           "one training)" if row["seeds"] == 1 else "another schedule)")
        for row in sorted(higher, key=_height)
    ]  # fmt: skip
    return f" Higher, but not ranked with these: {names.joined(said)}."


def _short(row: Row, ranked: Sequence[Row]) -> str:
    unsure = row["gain_p_holm"] is not None and row["gain_p_holm"] >= LEVEL
    gain = "" if row["gain"] is None else f", {row['gain']:+.1f} points to supervised"
    gain += ", not significant after correction" if gain and unsure else ""
    if not ranked:
        return f"{row['top']} has the highest figure{gain}"
    if len(ranked) == 2:
        return f"{row['top']} has the higher figure{gain}"
    if all(one["leading"] for one in ranked):
        return f"none of the other {len(ranked) - 1} cells differs significantly from the top, {row['top']}{gain}"
    return f"leading: {row['leading']}{gain}"


def _gain(top: Row) -> str:
    if top["role"] == BASELINE:
        return f"The supervised baseline itself has the highest mIoU, {top['miou_last_mean']:.1f}."
    if top["delta_vs_supervised"] is None:
        return f"{names.of(top)} has {top['miou_last_mean']:.1f}, and no supervised run to be compared with."
    said = (
        f"The {top['network']} of {names.of(top)} has {top['miou_last_mean']:.1f}, the supervised {top['network']} has "
        f"{top['baseline_miou_last_mean']:.1f}: {top['delta_vs_supervised']:+.1f} points"
    )
    if top["delta_ci_low"] is None:
        return said + " (no interval)."
    sure_of_it = top["delta_p_holm"] is not None and top["delta_p_holm"] < LEVEL
    limits = f"95 % interval [{top['delta_ci_low']:+.1f}, {top['delta_ci_high']:+.1f}]"
    doubt = "" if sure_of_it else ", not significant after Holm's correction"
    return f"{said} ({limits}, for {covered(top['delta_covers'], top['evaluated_on'])}{doubt})."


def covered(covers: str, on: str | None = "test") -> str:
    """ "other seeds and test images, with one draw of the labelled images"; `on`: the images that were scored."""
    parts, images = covers.split("+"), {"images": "validation images"} if on == "val" else {}
    *first, last = (words for part, words in (COVERED | images).items() if part in parts)
    words = f"other {', '.join(first)} and {last}" if first else f"other {last}"
    return words if "lists" in parts else f"{words}, with one draw of the labelled images"


def _count(row: Row) -> str:
    variants = "variant" if row["compared"] == 1 else "variants"
    are = "is" if 1 in (row["above_supervised"], row["compared"]) else "are"
    said = f"{row['above_supervised']} of {row['compared']} {variants} {are} significantly above supervised"
    if 0 < row["above_supervised"] <= NAMED:
        said += f": {row['above']}"
    if row["below_supervised"]:
        said += f"; {row['below_supervised']} significantly below"
    if row["corrected"] > 1:
        these = f"these {row['compared']} differences only"
        every = f"all {row['corrected']} differences of the comparison"
        said += f" (corrected for {these if row['compared'] == row['corrected'] else every})"
    said += "."
    if row["compared_with_strong"]:
        are = "is" if 1 in (row["above_strong"], row["compared_with_strong"]) else "are"
        said += f" {row['above_strong']} of {row['compared_with_strong']} {are} significantly above the best "
        said += f"supervised variant (corrected for {row['corrected_vs_strong']} differences)"
        said += f": {row['over_strong']}." if 0 < row["above_strong"] <= NAMED else "."
    return said


def _names(rows: Sequence[Row]) -> str:
    labels = [names.of(row) for row in rows]
    few = labels if len(labels) <= NAMED + 1 else [*labels[:NAMED], f"{len(labels) - NAMED} others"]
    return names.joined(few)
