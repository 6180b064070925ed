"""Our order of the methods beside the published one: Kendall's tau, and the gains side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from semiseg.report import names
from semiseg.report.cells import METHOD, partition_order
from semiseg.report.table import LISTED, Table, View
from semiseg.report.tables.published import SECONDHAND, Figure, figures

FEWEST = 5  # methods in common; with four, 24 orders are possible and tau says little
DRAWS = 4000
NORMAL = 1.959964  # a 95 % interval's half-width in standard errors
COLUMNS = (
    "dataset", "split_family", "split_sha256", "partition", "labelled", "published_dataset",
    "published_lists", "published_partition", "published_labelled", "published_encoder",
    "methods", "tau", "tau_ci_low", "tau_ci_high", "compared",
    "our_gains", "our_gains_ci_low", "our_gains_ci_high", "published_gains",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("Published for", ("published_dataset",)),
    View("Lists", ("published_lists",)),
    View("Labels there", ("published_labelled",), "number", 0),
    View("Encoder", ("published_encoder",)),
    View("Methods", ("methods",), "number", 0, help="in common with ours"),
    View("Kendall's τ", ("tau", "tau_ci_low", "tau_ci_high"), "interval", 2),
    View("Compared", ("compared",)),
    LISTED,
)
Row = Mapping[str, Any]


def build(comparison: Sequence[Row]) -> Table | None:
    """From the rows of the comparison; None where no published column shares enough methods with ours."""
    published = list(_columns(figures()))
    found = [
        row
        for ours in _places(comparison)
        for column in published
        if (row := _row(ours, *column)) is not None
    ]  # fmt: skip
    if not found:
        return None
    found.sort(key=lambda row: (row["dataset"], partition_order(row), row["published_dataset"] != row["dataset"],
                                -row["methods"], row["published_labelled"]))  # fmt: skip
    return Table(
        "field_order",
        "Our order of methods, and the published one",
        "Kendall's τ between our gains over supervised and published gains over supervised, for every published "
        f"column that shares at least {FEWEST} methods. Data, network and schedule differ: τ says whether the "
        "order carries over, not whether a figure was reproduced.",
        COLUMNS,
        VIEWS,
        tuple(found),
        "Intervals cover the uncertainty of our gains, which are drawn anew from their own intervals. Published gains "
        "are single figures and taken as exact. Rows are not independent, because papers fill several columns.",
    )


def _places(comparison: Sequence[Row]) -> Iterator[dict[str, Row]]:
    """Method -> row, for each partition of the pixel heads."""
    places: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in comparison:
        variant = "adv_semi" if row["method"] == "advsemiseg" else "default"
        compared = row["role"] == METHOD and row["head"] == "pixel" and row["variant"] == variant
        if compared and row["delta_vs_supervised"] is not None:
            place = (row["dataset"], row["split_family"], row["partition"])
            places.setdefault(place, {})[row["method"]] = row
    yield from places.values()


def _columns(known: Sequence[Figure]) -> Iterator[tuple[Figure, dict[str, float]]]:
    """Each published column: one of its figures, and method -> gain over the supervised row of the same column."""
    columns: dict[tuple[Any, ...], dict[str, list[Figure]]] = {}
    for figure in known:
        row = figure.row
        if figure.confirmed and figure.variant in ("default", "adv_semi") and row["split_partition"] != "full":
            key = (figure.dataset, row["split_family"], row["split_partition"], figure.encoder)
            columns.setdefault(key, {}).setdefault(figure.method, []).append(figure)
    for by_method in columns.values():
        if "supervised" in by_method:
            chosen = {method: min(found, key=_preference) for method, found in by_method.items()}
            baseline = chosen.pop("supervised")
            yield baseline, {method: figure.value - baseline.value for method, figure in chosen.items()}


def _preference(figure: Figure) -> tuple[bool, bool]:
    """First-hand figures before those of another paper's table; AdvSemiSeg's baseline has another network."""
    name = figure.row["method"]
    return figure.method == "supervised" and name.startswith("AdvSemiSeg"), bool(SECONDHAND.search(name))


def _row(ours: Mapping[str, Row], baseline: Figure, theirs: Mapping[str, float]) -> dict[str, Any] | None:
    common = [method for method in ours if method in theirs]
    if len(common) < FEWEST:
        return None
    first = ours[common[0]]
    gains = np.array([ours[method]["delta_vs_supervised"] for method in common])
    limits = [[ours[method][key] for method in common] for key in ("delta_ci_low", "delta_ci_high")]
    published = np.array([theirs[method] for method in common])
    low, high = _interval(gains, limits, published)
    return {
        "dataset": first["dataset"], "partition": first["partition"], "labelled": first["labelled"],
        "split_family": first["split_family"], "split_sha256": first["split_sha256"],
        "published_dataset": baseline.dataset, "published_lists": baseline.row["split_family"],
        "published_partition": baseline.row["split_partition"],
        "published_labelled": int(baseline.row["labelled_images"]), "published_encoder": baseline.row["backbone"],
        "methods": len(common), "tau": _tau(gains, published), "tau_ci_low": low, "tau_ci_high": high,
        "compared": ", ".join(names.of(ours[method]) for method in common),
        "our_gains": gains.tolist(), "our_gains_ci_low": limits[0], "our_gains_ci_high": limits[1],
        "published_gains": published.tolist(),
    }  # fmt: skip


def _interval(gains: np.ndarray, limits: Sequence[Sequence[Any]], published: np.ndarray) -> tuple[Any, Any]:
    """Quantiles of tau over gains drawn from their intervals; none where a gain has no interval."""
    if any(value is None for side in limits for value in side):
        return None, None
    errors = (np.array(limits[1], dtype=float) - np.array(limits[0], dtype=float)) / (2 * NORMAL)
    drawn = np.random.default_rng(0).normal(gains, errors, (DRAWS, len(gains)))
    low, high = np.quantile([_tau(one, published) for one in drawn], [0.025, 0.975])
    return float(low), float(high)


def _tau(ours: np.ndarray, published: np.ndarray) -> float:
    """Tau-b, which corrects for ties; scipy's costs a millisecond a call, which is too much for the draws."""
    pairs = np.triu_indices(len(ours), 1)
    a, b = (np.sign(values[pairs[0]] - values[pairs[1]]) for values in (ours, published))
    return float((a * b).sum() / np.sqrt((a != 0).sum() * (b != 0).sum()))
