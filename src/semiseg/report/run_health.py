"""What a reader must know before believing a figure, found automatically in records and stored evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from semiseg.report import statistics
from semiseg.report.cells import BASELINE, CONTROL, FULL, SETTING, SUPERVISED, Cell, Run
from semiseg.report.records import Records
from semiseg.runs import units
from semiseg.runs.needs import NOT_RUN
from semiseg.runs.training_log import Point

BANNER, WARNING, NOTE = "banner", "warning", "note"
RISING = 1.0  # points of mIoU gained in the last quarter of a training: it had not converged
SELECTED = 0.01  # share of pixels below which a method has hardly any pseudo-label
FAR = 10.0  # points below the baseline on the same list: the method has done harm
COLLAPSED = 0.5  # IoU in percent below which a class is not found
UNLIKE = "unlike_trainings"
UNCLEAR = "unclear_whether_labels_help"
GREW = 1.5  # a loss that ends above so many times its value in the middle of the training


@dataclass(frozen=True)
class Finding:
    kind: str
    severity: str
    text: str
    cell: Cell | None = None
    runs: Sequence[Run] = field(default=())


def findings(records: Records) -> list[Finding]:
    """Of the whole suite first, then cell by cell in the order of the plan."""
    found = [*_few_images(records), *_undertrained(records)]
    for cell in records.cells():
        if cell.finished:
            for look in OF_CELLS:
                found += look(records, cell)
        if cell.state == "failed":
            found.append(Finding("failed", WARNING, cell.reason or "its training failed", cell, cell.runs))
        if cell.state == "missing" and cell.reason.startswith(NOT_RUN):
            found.append(Finding("not_run", WARNING, cell.reason, cell, cell.runs))
    for cell in _in_ablations_only(records):
        found += unlike_trainings(records, cell)
    return found


def _in_ablations_only(records: Records) -> Iterator[Cell]:
    seen = {cell.runs for cell in records.cells()}
    for name in records.ablations:
        for cell in records.cells(name):
            if cell.runs not in seen:
                seen.add(cell.runs)
                yield cell


# ---------------------------------------------------------------- of the suite


def _few_images(records: Records) -> Iterator[Finding]:
    run = next((run for cell in records.cells() for run in cell.finished if run.stored), None)
    if run is None:
        return
    images, on = len(run.stored.images), run.eval["evaluated_on"]
    number = int(units.of_images(images, run.stored.groups, records.block).max()) + 1
    if number < statistics.FEW_UNITS:
        scored = f"{images} image{'s' * (images > 1)} of {on}"
        scored += f" in {number} group{'s' * (number > 1)}" if number < images else ""
        yield Finding("few_images", BANNER, f"Scored on {scored}: intervals from so few cannot be trusted.")


def _undertrained(records: Records) -> Iterator[Finding]:
    """The supervised curve: do more labels help, and had the trainings converged?"""
    for curve in supervised_curves(records):
        first, last = curve[0], curve[-1]
        if len(curve) > 1 and (finding := _not_rising(records, first, last)):
            yield finding
        for cell in curve:
            late = late_gain(cell)
            if late and late[0] > RISING:
                yield Finding(
                    "undertrained", BANNER,
                    f"undertrained: supervised ({cell.head} head) with {cell.labelled} labels still gained "
                    f"{late[0]:.1f} points after iteration {late[1]} of {cell.iterations}.",
                    cell, cell.finished,
                )  # fmt: skip


def supervised_curves(records: Records) -> list[list[Cell]]:
    """Finished baselines of one family and recipe by number of labels; all labels belong to every family's curve."""
    cells = [cell for cell in records.cells() if cell.role == BASELINE and cell.finished and cell.labelled]
    keys = [key for key in SETTING if key not in ("partition", "split_sha256")]
    curves: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        curves.setdefault(tuple(str(cell.row[key]) for key in keys), []).append(cell)
    full = [cell for cell in cells if cell.partition == FULL]
    others = [curve for curve in curves.values() if curve[0].partition != FULL]
    for curve in others:
        curve += [cell for cell in full if cell not in curve and _same_recipe(cell, curve[0])]
    return [sorted(curve, key=lambda cell: cell.labelled) for curve in others or list(curves.values())]


def _same_recipe(one: Cell, other: Cell) -> bool:
    keys = [key for key in SETTING if key not in ("split_family", "partition", "split_sha256")]
    return all(str(one.row[key]) == str(other.row[key]) for key in keys)


def _not_rising(records: Records, few: Cell, many: Cell) -> Finding | None:
    """None where more labels are better, by more than the interval where there is one."""
    gained = records.difference(many, few)
    gain, low = (many.mean() - few.mean(), None) if gained is None else (gained.estimate, gained.low)
    if gain > 0 and (low is None or low > 0):
        return None
    drawn = records.in_common((few, many), many.network)
    fewer, more = (
        float(np.mean([run.miou("last", many.network) for run in cell.finished if not drawn or run.drawn in drawn]))
        for cell in (few, many)
    )
    said = f"Supervised ({few.head} head) has {fewer:.1f} with {few.labelled} labels and {more:.1f} with "
    said += f"{many.labelled}"
    if gained is not None and gained.low is not None and gained.high > 0:
        text = (
            f"it cannot be said whether more labels help. {said}: {gain:+.1f} [{gained.low:+.1f}, {gained.high:+.1f}]"
        )
        return Finding(UNCLEAR, WARNING, text, many, many.finished)
    return Finding("undertrained", BANNER, f"undertrained: more labels do not help. {said}.", many, many.finished)


def late_gain(cell: Cell) -> tuple[float, int] | None:
    """(mean gain, since which iteration) over the last quarter; None without an evaluation in the quarter before."""
    found = [_late_gain(run) for run in cell.finished]
    known = [one for one in found if one is not None]
    return (float(np.mean([gain for gain, _ in known])), known[0][1]) if known else None


def _late_gain(run: Run) -> tuple[float, int] | None:
    curve = run.eval["networks"][run.network]["curves"][run.eval["evaluated_on"]]
    end, scores = run.last_iteration, list(zip(run.eval["iterations"], curve, strict=True))
    before = [(curve[-1] - score, i) for i, score in scores if end / 2 <= i <= 0.75 * end]
    return before[-1] if before else None


def dirty(records: Records) -> Iterator[Finding]:
    """Shown on pages only, because tables depend on specs and evaluations alone."""
    runs = [run for run in records.runs if run.done and ((run.record or {}).get("git") or {}).get("dirty")]
    if runs:
        total = sum(run.done for run in records.runs)
        text = f"{len(runs)} of {total} runs were trained with uncommitted changes: no commit has their code."
        yield Finding("dirty", WARNING, text, None, runs)


# ---------------------------------------------------------------- of a cell


def _still_rising(records: Records, cell: Cell) -> Iterator[Finding]:
    late = None if cell.role == BASELINE else late_gain(cell)
    if late and late[0] > RISING:
        text = f"still gained {late[0]:.1f} points after iteration {late[1]} of {cell.iterations}"
        yield Finding("still_rising", NOTE, text, cell, cell.finished)


def _nothing_selected(records: Records, cell: Cell) -> Iterator[Finding]:
    taught = (cell.options or {}).get("lambda_semi") != 0  # AdvSemiSeg may have its adversarial losses only
    if cell.method == SUPERVISED or cell.role == CONTROL or not taught:
        return
    shares = [
        (run, kept.diagnostics[-1]["confident_share"]) for run in cell.finished
        if (kept := run.stored) and kept.diagnostics
    ]  # fmt: skip
    few = {run: share for run, share in shares if share < SELECTED}
    if few:
        mean = 100 * float(np.mean(list(few.values())))
        text = f"hardly any pseudo-label at the end: {mean:.2g} % of the pixels are selected"
        text += f" in {len(few)} of {len(shares)} runs" if len(shares) > 1 else ""
        yield Finding("nothing_selected", WARNING, text, cell, list(few))


def _far_below(records: Records, cell: Cell) -> Iterator[Finding]:
    baseline = None if cell.role == CONTROL else records.baseline(cell)
    if baseline is None:
        return
    theirs = {run.drawn: score for run in baseline.finished if (score := run.miou("last", cell.network)) is not None}
    lost = {run: theirs[run.drawn] - run.miou("last", cell.network) for run in cell.finished if run.drawn in theirs}
    far = {run: points for run, points in lost.items() if points > FAR}
    if far:
        text = f"{len(far)} of {len(lost)} trainings {'ends' if len(far) == 1 else 'end'} more than {FAR:.0f} points "
        text += f"below supervised on the same list, at worst {max(far.values()):.1f} points"
        yield Finding("far_below", WARNING, text, cell, list(far))


def _collapsed(records: Records, cell: Cell) -> Iterator[Finding]:
    lost: dict[str, list[Run]] = {}
    for run in cell.finished:
        for name, iou in zip(run.eval["classes"], run.rule("last")["per_class"], strict=True):
            if iou is not None and iou < COLLAPSED:
                lost.setdefault(name, []).append(run)
    if lost:
        of = [f"{name} (in {len(runs)} of {len(cell.finished)} runs)" for name, runs in lost.items()]
        runs = list({run: None for found in lost.values() for run in found})
        yield Finding("collapsed_class", WARNING, f"not found, IoU below {COLLAPSED} %: {', '.join(of)}", cell, runs)


def _grown(records: Records, cell: Cell) -> Iterator[Finding]:
    grown: dict[str, list[Run]] = {}
    for run in cell.finished:
        for name, points in (run.stored.losses if run.stored else {}).items():
            if _grew(points):
                grown.setdefault(name, []).append(run)
    for name, runs in grown.items():
        text = f"loss {name} grew in the second half of the training in {len(runs)} of {len(cell.finished)} runs"
        yield Finding("loss_grew", NOTE, text, cell, runs)


def _grew(points: Sequence[Point]) -> bool:
    """The last tenth against the tenth in the middle; a loss of nearly nothing is not judged."""
    values = np.array([value for _, value in points])
    tenth = len(values) // 10
    if not tenth:
        return False
    middle = values[(len(values) - tenth) // 2 :][:tenth].mean()
    return bool(values[-tenth:].mean() > GREW * max(middle, 1e-3))


def accepted_code(records: Records, cell: Cell) -> Iterator[Finding]:
    """Results of earlier code that were accepted by `semiseg adopt --accept-code`."""
    reasons: dict[str, list[Run]] = {}
    for run in cell.finished:
        for accepted in (run.record or {}).get("accepted_code", ()):
            reasons.setdefault(accepted["reason"], []).append(run)
    for reason, runs in reasons.items():
        text = f"{len(runs)} of {len(cell.finished)} runs were trained by earlier code, which was accepted: {reason}"
        yield Finding("accepted_code", NOTE, text, cell, runs)


def unlike_trainings(records: Records, cell: Cell) -> Iterator[Finding]:
    """Is the mean over trainings that differ in more than their seed?"""
    several = {what: values for what, values in cell.computed.items() if len(values) > 1}
    if several:
        of = [f"{what} {_counted(values)}" for what, values in several.items()]
        runs = list({run: None for values in several.values() for found in values.values() for run in found})
        text = f"the mean is over trainings that differ in more than their seed: {'; '.join(of)}"
        yield Finding(UNLIKE, WARNING, text, cell, runs)


def _counted(values: Mapping[str, Sequence[Run]]) -> str:
    """ "bf16 (2 trainings), fp32 (1 training)"."""
    return ", ".join(f"{one} ({len(runs)} training{'s' * (len(runs) > 1)})" for one, runs in sorted(values.items()))


def unlike_baseline(records: Records, cell: Cell) -> Iterator[Finding]:
    """Does the baseline differ in precision, device or start weights? Then the difference has these in it."""
    baseline = records.baseline(cell)
    if baseline is None or baseline is cell:
        return
    mine, theirs = cell.computed, baseline.computed
    of = [
        f"{what} {', '.join(sorted(mine[what]))} here and {', '.join(sorted(theirs[what]))} there"
        for what in mine if what in theirs and mine[what].keys() != theirs[what].keys()
    ]  # fmt: skip
    if of:
        text = f"its baseline was computed in another way: {'; '.join(of)}"
        yield Finding("unlike_baseline", NOTE, text, cell, cell.finished)


OF_CELLS: tuple[Callable[[Records, Cell], Iterator[Finding]], ...] = (
    _still_rising,
    _nothing_selected,
    _far_below,
    _collapsed,
    _grown,
    accepted_code,
    unlike_trainings,
    unlike_baseline,
)
