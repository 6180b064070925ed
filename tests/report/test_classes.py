"""Differences by class: the table against a slow loop in float64, and the plot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from semiseg.report import statistics
from semiseg.report.plots import alt_texts, class_plots, style
from semiseg.report.records import Records
from semiseg.report.tables import classes
from semiseg.scoring.class_iou import ClassIou
from tests.report import studies

METHODS = {"supervised": (0.0, "student"), "cutmix_seg": (4.0, "teacher"), "unimatch": (7.0, "student")}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    planned = studies.descriptions(seeds=2, ablations=False, methods=METHODS, partitions={"12": 12, "full": 240})
    rows = studies.simulate(folder, planned, images=12, pictures=0)
    return Records("pocket", folder, rows, resamples=60)


@pytest.fixture(scope="module")
def table(records):
    return classes.build(records)


def slow_iou(matrices, counts, number):
    """IoU in percent of one class, image by image; image i counts counts[i] times."""
    hit = true = predicted = 0.0
    for matrix, count in zip(matrices, counts, strict=True):
        hit += float(count) * float(matrix[number][number])
        true += float(count) * sum(map(float, matrix[number]))
        predicted += float(count) * sum(float(row[number]) for row in matrix)
    return 100 * hit / (true + predicted - hit)


def test_a_difference_and_its_interval_equal_a_slow_loop(records, table):
    cell = next(cell for cell in records.cells() if cell.method == "cutmix_seg" and cell.partition == "12")
    baseline, number = records.baseline(cell), 2
    row = next(row for row in table.rows if (row["method"], row["class"]) == ("cutmix_seg", studies.CLASSES[number]))
    pairs = [[run.counts("confusion", "teacher") for run in one.finished] for one in (cell, baseline)]
    draws = statistics.draws(12, 60, 0)
    values, drawn = [], []
    for ours, theirs in zip(*pairs, strict=True):
        values.append(slow_iou(ours, np.ones(12), number) - slow_iou(theirs, np.ones(12), number))
        drawn.append([slow_iou(ours, counts, number) - slow_iou(theirs, counts, number) for counts in draws])
    assert row["difference"] == pytest.approx(np.mean(values), abs=1e-9)
    shared = max(0.0, np.cov(drawn)[0, 1]) * 12 / 11
    seeds = np.var(values, ddof=1) / 2
    df = (seeds + shared) ** 2 / (seeds**2 / 1 + shared**2 / 11)
    half = max(student.ppf(0.975, df) * np.sqrt(seeds + shared), student.ppf(0.975, 1) * np.sqrt(seeds))
    assert row["ci_high"] - row["difference"] == pytest.approx(half, rel=1e-6)
    assert row["difference"] == pytest.approx(row["iou_mean"] - row["baseline_iou_mean"])
    assert row["covers"] == "seeds+images" and row["network"] == "teacher"


def test_every_method_has_each_class_and_neither_baseline_nor_all_labels(table):
    assert {row["method"] for row in table.rows} == {"cutmix_seg", "unimatch", "advsemiseg"}
    assert {row["partition"] for row in table.rows} == {"12"}
    own = [row["class"] for row in table.rows if row["method"] == "unimatch"]
    assert own == list(studies.CLASSES)


def test_holm_covers_all_methods_and_classes_of_a_split(table):
    expected = statistics.holm([row["p"] for row in table.rows])
    assert [row["p_holm"] for row in table.rows] == pytest.approx(expected)
    assert all(row["separated"] == (row["p_holm"] < 0.05) for row in table.rows)


def test_the_mean_over_classes_is_the_difference_in_miou(records, table):
    cell = next(cell for cell in records.cells() if cell.method == "unimatch" and cell.partition == "12")
    own = [row["difference"] for row in table.rows if row["method"] == "unimatch"]
    assert np.mean(own) == pytest.approx(records.difference(cell, records.baseline(cell)).estimate)


def test_a_draw_without_a_class_takes_its_iou_over_all_images():
    matrices = np.array([[[4, 0], [0, 0]], [[1, 1], [2, 4]]])
    scores = ClassIou.score(np.array([[2.0, 0.0], [1.0, 1.0]]), ClassIou.table(matrices))
    assert scores.tolist() == [
        [100.0, pytest.approx(100 * 4 / 7)],
        [pytest.approx(100 * 5 / 8), pytest.approx(100 * 4 / 7)],
    ]


def test_without_stored_evaluations_seeds_alone_are_covered(tmp_path):
    rows = [studies.result("supervised", seed, 50 + seed, per_class=(60.0 + seed, 40.0)) for seed in (0, 1)]
    rows += [studies.result("unimatch", seed, 55 + 2 * seed, per_class=(64.0 + 2 * seed, 44.0)) for seed in (0, 1)]
    found = classes.build(Records("made", tmp_path, rows)).rows
    assert [(row["class"], row["difference"], row["covers"]) for row in found] == [
        ("a", 4.5, "seeds"),
        ("b", 4.0, "seeds"),
    ]


def test_a_class_that_never_occurs_has_no_row(tmp_path):
    rows = [studies.result(method, 0, 50, per_class=(60.0, None)) for method in ("supervised", "unimatch")]
    assert [row["class"] for row in classes.build(Records("made", tmp_path, rows)).rows] == ["a"]


def test_the_plot_shows_the_focus_best_first(records, table):
    shown = {"classes": table}
    with style.plotting():
        axes = class_plots.class_differences(records, shown).axes[0]
        texts = [text.get_text() for text in axes.texts]
        labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "UniMatch" and len(texts) == len(table.rows)
    row = next(row for row in table.rows if (row["method"], row["class"]) == ("unimatch", studies.CLASSES[0]))
    half = (row["ci_high"] - row["ci_low"]) / 2
    assert texts[0] == f"{row['difference']:+.1f}\n±{half:.1f}"
    assert "UniMatch" in alt_texts.class_differences(table.rows, "12")
    with style.plotting():
        assert class_plots.class_differences(records, {"classes": classes.Table("", "", "", (), (), ())}) is None
