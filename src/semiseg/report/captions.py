"""Titles and captions of all plots, for the pages, for `snakemake --report` and for figures that are used elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

CAPTIONS = {
    "label_efficiency": (
        "Label efficiency",
        "mIoU after the last iteration against the number of labelled images, for the network that each method "
        "reports. A line is the mean over seeds and lists, one line for each kind of lists; a band is one standard "
        "deviation (none with one training). Hollow diamonds are published figures of the same protocol.",
    ),
    "differences": (
        "Differences to supervised",
        "mIoU minus that of the supervised baseline on the same labelled images, same network and head, with "
        "95 % intervals, sorted by gain. Filled: significant after Holm's correction. Small dots: single trainings.",
    ),
    "training_curves": (
        "Training curves",
        "mIoU of the reported network on the evaluated set during training at {partition} labels. A line is the mean "
        "over seeds and lists, a band one standard deviation. Nothing was selected by these curves.",
    ),
    "pseudo_labels": (
        "Pseudo-labels",
        "Share of selected pixels, and accuracy of their pseudo-labels everywhere, near borders between classes and "
        "inside, on unlabelled images at {partition} labels. The hidden masks are used for this diagnosis only; no "
        "method sees them.",
    ),
    "losses": (
        "Losses",
        "Named losses during training at {partition} labels, one panel for each method, of its first seed; a point is "
        "the mean of a whole window of ten. Losses of different methods are not comparable with each other.",
    ),
    "class_iou": (
        "IoU by class",
        "IoU of every class after the last iteration at {partition} labels, mean over seeds and lists. Empty: the "
        "class is in neither ground truth nor prediction.",
    ),
    "class_differences": (
        "Differences by class",
        "IoU of every class minus that of the supervised baseline at {partition} labels: mean and half of its 95 % "
        "interval. Bold (or a dot, where there are many classes): significant after Holm's correction over all methods "
        "and classes.",
    ),
    "confusion": (
        "Confusion matrices",
        "Share of the pixels of each true class (rows) that were given each class (columns), in percent, at "
        "{partition} labels: the supervised baseline and the method with the highest mIoU of the same head, first "
        "finished seed.",
    ),
    "cost": (
        "Gain against cost",
        "mIoU minus supervised against the mean time of a training (of the GPU, or of the CPU where there is none) at "
        "{partition} labels. The line is the frontier: nothing cheaper gains as much as the cells "
        "that it joins, which are named.",
    ),
    "field_order": (
        "Our gains beside published gains",
        "Gain over supervised of each method, ours against the published one. The published column is the one that "
        "shares most methods with this study. Vertical lines are 95 % intervals of our gains. Data, network and "
        "schedule differ.",
    ),
    "ablation": (
        "Ablation: {name}",
        "mIoU after the last iteration by arm; points are seeds, the bar is their mean, and the dashed line is the "
        "supervised baseline on the same labelled images. On the right, where the paper has such a table, are its own "
        "figures, from another data set and network.",
    ),
}


ABLATION = "ablation_"


def of_study(
    ablations: Iterable[str], partition: str = "equally many", of_times: str = ""
) -> dict[str, dict[str, str]]:
    """Title and caption of every plot that a study with these ablations can have, in their order.

    of_times: a sentence for readers who compare times.
    """
    common = [name for name in CAPTIONS if name != "ablation"]
    found = {name: _caption(name, partition=partition) for name in common}
    found["cost"]["caption"] = f"{found['cost']['caption']} {of_times}".strip()
    return found | {f"{ABLATION}{name}": _caption("ablation", name=name.replace("_", " ")) for name in ablations}


def _caption(plot: str, **details: str) -> dict[str, str]:
    title, text = CAPTIONS[plot]
    return {"title": title.format(**details), "caption": text.format(**details)}
