"""Five sentences for the owner of the images: method, tuning, more labels, classes that fail, what to do next."""

from __future__ import annotations

import numpy as np

from semiseg.advice.trial import BASELINE, Result, Trial, best
from semiseg.report import statistics
from semiseg.report.statistics import Interval
from semiseg.scoring.selection import class_iou
from semiseg.study.plan import TUNED

AFFECTS_RESULTS = False

RARE, SMALL = 0.01, 0.005  # shares of all labelled pixels, and of the pixels of an image that shows the class
POOR = 50.0  # a class with a lower IoU in percent fails
_FAILING = 3


def advise(trial: Trial, written: bool = False) -> list[str]:
    """`written`: the suite for the final training has been written."""
    chosen, sentence = method(trial)
    last = following(trial, chosen, written)
    return [sentence, tuning(trial, chosen), labels(trial, chosen), classes(trial, chosen), last]


def method(trial: Trial) -> tuple[Result, str]:
    """Say whether a method helps, which one, and at what cost."""
    partition = _widest(trial)
    here = trial.at(partition)
    baseline = best([one for one in here if one.method == BASELINE], trial.on)
    others = [one for one in here if one.method != BASELINE]
    score = f"{baseline.name} reaches {baseline.miou(trial.on):.1f} mIoU on {trial.on} ({baseline.labelled} labels)"
    if not others:
        return baseline, f"Method: {score}, and no other method was tried with images that have no labels."
    differences = {one.name: trial.difference(one, baseline) for one in others}
    leader = max(others, key=lambda one: (differences[one.name].estimate, one.name))
    chances = [1.0 if one.p is None else one.p for one in differences.values()]  # one seed proves nothing
    adjusted = dict(zip(differences, statistics.holm(chances), strict=True))
    found = differences[leader.name]
    rank = f", the best of {len(others)}," if len(others) > 1 else ""
    said = f"{leader.name}{rank} differs from it by {_interval(found)}"
    if trial.units < statistics.FEW_UNITS:
        return baseline, f"Method: {score}; {said}, but with {_units(trial)} this may be chance."
    if found.estimate > 0 and adjusted[leader.name] < 1 - statistics.LEVEL:
        cost = f" and takes {leader.seconds / baseline.seconds:.1f} times as long" if baseline.seconds else ""
        return leader, f"Method: {leader.name} helps on your images: {score}; {said}{cost}."
    return baseline, (
        f"Method: no method helps for certain: {score}; {said}, and a true gain below {found.detectable():.1f} would "
        f"not be seen with {_units(trial)} and {found.n} seed{'s' * (found.n > 1)}."
    )


def tuning(trial: Trial, chosen: Result) -> str:
    """Say whether tuning helps, from the method's row `tuned`, if the suite has one."""
    untold = "Tuning: nothing was tuned, so this trial cannot tell whether it matters; "
    if trial.units < statistics.FEW_UNITS:
        return f"{untold}with {_units(trial)}, tuning would rather fit these images than yours in general."
    same = {one.variant: one for one in trial.at(chosen.partition) if one.method == chosen.method}
    if TUNED not in same or len(same) < 2:
        return f"{untold}`tune:` in a suite tries options."
    found = trial.difference(same[TUNED], best([one for one in same.values() if one.variant != TUNED], trial.on))
    verdict = "pays" if found.significant and found.estimate > 0 else "does not pay for certain"
    return f"Tuning: it {verdict} for {chosen.method}: the tuned setting differs from the next by {_interval(found)}."


def labels(trial: Trial, chosen: Result) -> str:
    """Say whether more labels would help, from the two largest partitions; at most another doubling is extrapolated."""
    same = {one.labelled: one for one in trial.results if one.name == chosen.name and one.labelled}
    counts = sorted(same)
    if len(counts) < 2:
        return f"Labels: cannot tell, because {chosen.name} was trained with one number of labels only."
    fewer, more = same[counts[-2]], same[counts[-1]]
    found = trial.difference(more, fewer)
    doublings = float(np.log2(more.labelled / fewer.labelled))
    said = f"from {fewer.labelled} to {more.labelled} labels {chosen.name} changes by {_interval(found)}"
    if trial.units < statistics.FEW_UNITS:
        return f"Labels: {said}, but with {_units(trial)} this may be chance."
    if not found.significant or found.estimate < 0:
        return f"Labels: {said}: more labels may or may not help, and this trial cannot tell."
    per = found.estimate / doublings, found.low / doublings, found.high / doublings
    return (
        f"Labels: {said}; gains shrink as labels grow, so expect at most {per[0]:.1f} ({per[1]:.1f} to {per[2]:.1f}) "
        f"from {2 * more.labelled} labels, and nothing can be said beyond that."
    )


def classes(trial: Trial, chosen: Result) -> str:
    """Name the classes that fail, and likely reasons from the confusion matrix and the masks."""
    matrices = chosen.confusion(trial.on)
    total = sum(one.sum(0) for one in matrices)
    iou = class_iou(total)
    order = [int(k) for k in np.argsort(iou) if np.isfinite(iou[k])]
    failing = [k for k in order if iou[k] < POOR][:_FAILING] or order[:1]
    parts = [f"{trial.classes[k]} ({iou[k]:.0f} IoU: {_why(trial, total, matrices[0], k)})" for k in failing]
    intro = (
        "Classes: the worst are" if iou[failing[0]] < POOR else f"Classes: none is below {POOR:.0f} IoU; the worst is"
    )
    return f"{intro} {', '.join(parts)}."


def _why(trial: Trial, total: np.ndarray, images: np.ndarray, k: int) -> str:
    reasons = []
    share = total[k].sum() / total.sum()
    true = images[:, k].sum(1)
    size = images.sum((1, 2))
    shown = true > 0
    if share < RARE:
        reasons.append(f"rare, {100 * share:.2g} % of the pixels")
    if shown.any():
        part = float(np.median(true[shown] / size[shown]))
        if part < SMALL:
            reasons.append(f"small, {100 * part:.2g} % of an image that shows it")
        if shown.sum() < 3:
            reasons.append(f"on {shown.sum()} validation image{'s' if shown.sum() > 1 else ''} only")
    else:
        reasons.append("no validation image shows it, and what is predicted is wrong")
    missed, invented = total[k].copy(), total[:, k].copy()
    missed[k] = invented[k] = 0
    if missed.sum() + invented.sum():
        taken = missed if missed.sum() >= invented.sum() else invented
        other, share = trial.classes[int(taken.argmax())], taken.max() / max(total[k].sum(), 1)
        missing = f"{100 * share:.0f} % of its pixels are predicted as {other}"
        wrong = f"predicted where {other} is, on {share:.2g} times the true area of {trial.classes[k]}"
        reasons.append(missing if taken is missed else wrong)
    return "; ".join(reasons)


def following(trial: Trial, chosen: Result, written: bool) -> str:
    """The commands to run next."""
    name = trial.study.name.removesuffix("_try")
    steps = []
    if trial.finished < trial.planned:
        steps.append(
            f"{trial.planned - trial.finished} of {trial.planned} runs are missing: `snakemake --profile local all "
            f"--config suite={trial.study.name}`"
        )
    if not trial.all_labelled:
        steps.append(f"label the most useful images next: `semiseg advise {name} --label 20`")
    if f"{name}_final" in trial.study.params.suites:
        write = "" if written else f"`semiseg advise {name} --write` puts it into the suite {name}_final, "
        steps.append(
            f"train {final(trial, chosen).name} for good: {write}`snakemake --profile local all --config "
            f"suite={name}_final` trains it, and `semiseg predict RUN FOLDER --out predictions` predicts your images"
        )
    return f"Next: {'; '.join(steps) or 'nothing is left to do'}."


def final(trial: Trial, chosen: Result) -> Result:
    """The method for the final training on all labels; without unlabelled images it is a supervised one."""
    if not trial.all_labelled or chosen.method == BASELINE:
        return chosen
    return best([one for one in trial.at("full") if one.method == BASELINE], trial.on)


def _widest(trial: Trial) -> str:
    """The partition with most labels where a method other than the baseline was trained."""
    with_methods = [one for one in trial.results if one.method != BASELINE] or list(trial.results)
    baselines = {one.partition for one in trial.results if one.method == BASELINE}
    usable = [one for one in with_methods if one.partition in baselines]
    return max(usable or list(trial.results), key=lambda one: one.labelled).partition


def _interval(found: Interval) -> str:
    if found.error is None:
        return f"{found.estimate:+.1f} (one seed and one image: no interval)"
    return f"{found.estimate:+.1f} ({found.low:+.1f} to {found.high:+.1f}, over {found.covers.replace('+', ' and ')})"


def _units(trial: Trial) -> str:
    if trial.units < trial.images:
        return "one group of validation images" if trial.units == 1 else f"{trial.units} groups of validation images"
    return "one validation image" if trial.images == 1 else f"{trial.images} validation images"
