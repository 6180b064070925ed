"""Ranks of methods over data sets: Friedman's test, and Nemenyi's critical difference as a plot (Demšar 2006).

One data set is one observation. Its partitions and suites share images, so their ranks are averaged to one rank for
each method. Methods are ranked by their gain over the supervised baseline, which compares like with like: the same
network and head on the same labelled images.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semiseg.report import names, statistics
from semiseg.report.cells import BASELINE, FULL
from semiseg.report.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "ranks"
METHODS = 6  # Friedman's chi-square needs more than five; a data set with fewer has too little to compare
BLOCK = ("suite", "split_family", "partition", "head")
CAPTION = (
    "Mean rank over {sets} data sets ({listed}) of the methods that all of them compare; rank 1 is the largest gain "
    "over supervised. A bar joins methods without a significant difference: their mean ranks differ by less than the "
    "critical difference of {critical:.1f} (Nemenyi, 5 %)."
)

Gains = Mapping[str, float]


@dataclass(frozen=True)
class Ranks:
    """Methods in the order of their mean rank, with their rank on each data set."""

    labels: tuple[str, ...]
    mean: tuple[float, ...]
    of_set: Mapping[str, tuple[float, ...]]
    p: float

    @property
    def critical(self) -> float:
        return statistics.critical_difference(len(self.labels), len(self.of_set))

    @property
    def bars(self) -> list[tuple[int, int]]:
        """(first, last) of each longest run of methods without a significant difference."""
        found: list[tuple[int, int]] = []
        for first, rank in enumerate(self.mean):
            last = max(place for place, other in enumerate(self.mean) if other - rank < self.critical)
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return found

    @property
    def caption(self) -> str:
        listed = ", ".join(self.of_set)
        return CAPTION.format(sets=len(self.of_set), listed=listed, critical=self.critical)

    @property
    def alt(self) -> str:
        """For those who do not see the plot."""
        said = ", ".join(f"{label} {rank:.1f}" for label, rank in zip(self.labels, self.mean, strict=True))
        return f"Mean ranks: {said}."

    @property
    def sentence(self) -> str:
        """The answer in words."""
        first, last = self.labels[0], self.labels[-1]
        over = f"Over {len(self.of_set)} data sets"
        said = f"{over} {first} has the best mean rank, {self.mean[0]:.1f} of {len(self.labels)}"
        if self.p >= 1 - statistics.LEVEL:
            return f"{said}, but the ranks do not differ significantly (Friedman, p = {self.p:.2f})."
        said = f"{said} (Friedman, p {'< 0.001' if self.p < 0.001 else f'= {self.p:.3f}'})"
        below = [label for label, rank in zip(self.labels, self.mean, strict=True)
                 if rank - self.mean[0] >= self.critical]  # fmt: skip
        better = f"significantly better than {', '.join(below)}"
        return f"{said}, {better if below else f'but not significantly better than {last}, the last'}."


def read(folders: Iterable[Path]) -> list[Mapping[str, str]]:
    """The rows of the comparisons of these studies, those over lists where a study has several."""
    rows: list[Mapping[str, str]] = []
    for folder in folders:
        tables = [folder / "tables" / f"{name}.csv" for name in ("comparison_over_lists", "comparison")]
        path = next((path for path in tables if path.exists()), None)
        if path and (folder / "evaluations.npz").exists():
            with path.open() as stream:
                rows += csv.DictReader(stream)
    return rows


def over_sets(rows: Iterable[Mapping[str, str]]) -> Ranks | str:
    """The ranks, or a sentence that says what is missing for them."""
    blocks: dict[str, list[Gains]] = {}
    for (dataset, *_), gains in _blocks(rows).items():
        if len(gains) >= METHODS:
            blocks.setdefault(dataset, []).append(gains)
    largest = [set(max(of_set, key=len)) for of_set in blocks.values()]
    common = sorted(set.intersection(*largest)) if largest else []
    needed = statistics.least_sets(max(len(common), METHODS))
    if len(blocks) < needed:
        so_far = f"so far {'there is' if len(blocks) == 1 else 'there are'} {len(blocks)}"
        listed = f" ({', '.join(blocks)})" if blocks else ""
        wanted = f"at least {needed} data sets whose studies compare {METHODS} or more methods"
        return f"Ranks over data sets need {wanted}; {so_far}{listed}."
    if len(common) < METHODS:
        listed = ", ".join(blocks)
        return f"Ranks over data sets need {METHODS} methods that are compared on each of {listed}; {len(common)} are."
    return _ranks(common, blocks)


def _blocks(rows: Iterable[Mapping[str, str]]) -> dict[tuple[str, ...], dict[str, float]]:
    """(data set, suite, list, labels, head) -> gain of each method that is measured there."""
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows:
        gain = "0" if row["role"] == BASELINE else row["delta_vs_supervised"]
        if row["miou_last_mean"] and gain and row["partition"] != FULL:
            block = found.setdefault((row["dataset"], *(row[key] for key in BLOCK)), {})
            block[names.label(row["method"], row["variant"])] = float(gain)
    return found


def _ranks(common: Sequence[str], blocks: Mapping[str, Sequence[Gains]]) -> Ranks:
    from scipy.stats import friedmanchisquare, rankdata

    of_set = {}
    for dataset, of_blocks in blocks.items():
        whole = [gains for gains in of_blocks if gains.keys() >= set(common)]
        of_blocks = np.array([rankdata([-gains[label] for label in common]) for gains in whole])
        of_set[dataset] = rankdata(of_blocks.mean(0))
    table = np.array(list(of_set.values()))
    order = np.argsort(table.mean(0), kind="stable")
    return Ranks(
        tuple(common[place] for place in order), tuple(table.mean(0)[order].tolist()),
        {dataset: tuple(ranks[order].tolist()) for dataset, ranks in of_set.items()},
        float(friedmanchisquare(*table.T).pvalue),
    )  # fmt: skip


def draw(ranks: Ranks) -> dict[str, bytes]:
    """The plot as SVG and PNG."""
    with style.plotting():
        return style.encoded(_figure(ranks))


def _figure(ranks: Ranks) -> Figure:
    """The better half of the labels to the left, the others to the right; bars between the axis and the labels."""
    import matplotlib.pyplot as plt

    count, half = len(ranks.labels), -(-len(ranks.labels) // 2)
    top = 0.5 + 0.35 * len(ranks.bars)
    figure, axes = plt.subplots(figsize=(7.2, 1.3 + 0.24 * half + 0.1 * len(ranks.bars)))
    axes.set(xlim=(0.5, count + 0.5), ylim=(top + half, -1.4))
    axes.axis("off")
    axes.plot([1, count], [0, 0], color="black", lw=1)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [0, -0.15], color="black", lw=1)
        axes.annotate(str(rank), (rank, -0.3), ha="center", fontsize="small")
    axes.plot([1, 1 + ranks.critical], [-1.1, -1.1], color="black", lw=2)
    axes.annotate(f"  critical difference {ranks.critical:.1f}", (1 + ranks.critical, -1.1), va="center")
    for row, (first, last) in enumerate(ranks.bars):
        ends = [ranks.mean[first] - 0.06, ranks.mean[last] + 0.06]
        axes.plot(ends, [0.3 + 0.35 * row] * 2, color=style.COLOURS[0], lw=3.5, solid_capstyle="butt")
    for place, (label, rank) in enumerate(zip(ranks.labels, ranks.mean, strict=True)):
        left = place < half
        height = top + (place if left else count - 1 - place) + 0.2
        end = 0.9 if left else count + 0.1
        axes.plot([rank, rank, end], [0, height, height], color="0.45", lw=0.8, zorder=0)
        text = f"{label}  {rank:.1f}" if left else f"{rank:.1f}  {label}"
        axes.annotate(
            text,
            (end - 0.08 if left else end + 0.08, height),
            ha="right" if left else "left",
            va="center",
            annotation_clip=False,
        )
    return figure
