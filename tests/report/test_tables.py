from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest

from semiseg.base import plugins
from semiseg.base.errors import UserError
from semiseg.report import names, run_health, tables
from semiseg.report.cells import partition_order
from semiseg.report.records import Records
from semiseg.report.table import Table, View, escape_latex, read_all
from semiseg.report.tables import (
    ablations,
    comparison,
    corruptions,
    cost,
    labels_saved,
    metrics,
    pairs,
    published,
    sensitivity,
)
from semiseg.runs import suite_evaluations
from semiseg.runs.evaluations import Evaluations
from tests.report import studies

PROMISED = [
    "suite", "dataset", "evaluated_on", "split_family", "split_sha256", "partition", "labelled", "unlabelled", "method",
    "variant", "network", "encoder", "head", "output_stride", "crop", "iterations", "seeds", "miou_last_mean",
    "miou_last_sd", "miou_best_mean", "miou_best_sd", "miou_lastk_mean", "miou_lastk_sd", "delta_vs_supervised",
    "delta_ci_low", "delta_ci_high", "published_miou", "published_source", "state",
]  # fmt: skip


@pytest.fixture(scope="module")
def records(study):
    folder, rows = study
    return Records("pocket", folder, rows, resamples=1000)


@pytest.fixture(scope="module")
def made(records):
    return {table.name: table for table in tables.assemble(records)}


@pytest.fixture(scope="module")
def compared(made):
    return {(row["partition"], row["method"], row["variant"]): row for row in made["comparison"].rows}


def compare(folder, rows, resamples=50):
    """The rows of the comparison."""
    records = Records("pocket", folder, rows, resamples)
    return comparison.build(records, pairs.groups(records), run_health.findings(records)).rows


def one_seed(folder, **changes):
    return studies.simulate(folder, studies.descriptions(seeds=1, ablations=False, **changes), images=20, pictures=0)


# ------------------------------------------------------------------------------------------------ comparison


def test_the_csv_has_the_promised_columns_and_every_planned_cell(made, study):
    rows = list(csv.DictReader(io.StringIO(made["comparison"].csv())))
    assert list(rows[0])[: len(PROMISED)] == PROMISED
    planned = {
        (row["method"], row["variant"], row["partition"]) for row in study[1] if row["cells"][0]["kind"] == "comparison"
    }
    assert {(row["method"], row["variant"], row["partition"]) for row in rows} == planned
    assert len(rows) == len(planned)


def test_unfinished_cells_are_rows_with_a_state_and_no_zero(compared):
    assert compared["12", "cutmix_seg", "default"]["state"] == "partial"
    assert compared["12", "fixmatch", "default"]["state"] == "partial"
    row = compared["full", "unimatch", "default"]
    assert row["state"] == "not_applicable" and row["miou_last_mean"] is None and "no unlabelled" in row["reason"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["failed", "missing"], "failed"), (["failed", "running"], "running"), (["missing", "missing"], "missing"),
        (["done", "failed"], "partial"), (["done", "done"], "done"), (["interrupted", "missing"], "missing"),
    ],
)  # fmt: skip
def test_state_of_a_cell(tmp_path, states, expected):
    planned = studies.descriptions(
        seeds=2, ablations=False, partitions={"12": 12}, methods={"supervised": (0, "student")}
    )
    named = {row["run"]: states[row["seed"]] for row in planned if row["method"] == "supervised"}
    rows = studies.simulate(tmp_path, planned, images=6, states=named, pictures=0)
    [row] = [row for row in compare(tmp_path, rows) if row["method"] == "supervised"]
    assert row["state"] == expected
    assert (row["miou_last_mean"] is None) == (expected not in ("done", "partial"))


def test_means_and_standard_deviations_are_over_seeds(compared, study):
    values = [row["eval"]["networks"]["student"]["last"]["miou"] for row in study[1]
              if (row["method"], row["partition"], row["state"]) == ("unimatch", "24", "done")]  # fmt: skip
    row = compared["24", "unimatch", "default"]
    assert row["seeds"] == len(values) == 3
    assert (row["miou_last_mean"], row["miou_last_sd"]) == pytest.approx((np.mean(values), np.std(values, ddof=1)))


def test_differences_compare_the_same_network(compared, study):
    """The method reports its teacher, the baseline its student: the difference is teacher to teacher."""

    def teachers(method):
        chosen = [row for row in study[1] if (row["method"], row["partition"]) == (method, "24")]
        return np.array([row["eval"]["networks"]["teacher"]["last"]["miou"] for row in chosen])

    row = compared["24", "mean_teacher", "default"]
    assert row["network"] == "teacher"
    assert row["delta_vs_supervised"] == pytest.approx((teachers("mean_teacher") - teachers("supervised")).mean())
    assert row["delta_ci_low"] < row["delta_vs_supervised"] < row["delta_ci_high"]
    assert row["delta_covers"] == "seeds+images"
    assert compared["24", "supervised", "default"]["delta_vs_supervised"] is None


def test_holm_covers_the_whole_table(compared):
    tested = [row for row in compared.values() if row["delta_p"] is not None]
    assert len(tested) > 10
    smallest = min(tested, key=lambda row: row["delta_p"])
    assert smallest["delta_p_holm"] == pytest.approx(min(1.0, smallest["delta_p"] * len(tested)))


def test_with_one_seed_there_is_no_sd_and_the_interval_covers_images(tmp_path):
    rows = one_seed(tmp_path)
    row = compare(tmp_path, rows, 500)[1]
    assert row["seeds"] == 1 and row["miou_last_sd"] is None
    assert row["delta_covers"] == "images" and row["delta_ci_low"] < row["delta_ci_high"]
    assert (row["delta_p"], row["delta_p_holm"], row["leading"], row["bold"]) == (None, None, None, False)


def test_two_long_drives_are_drawn_in_blocks_where_the_suite_says_so(tmp_path):
    rows = one_seed(tmp_path)
    for path in (tmp_path / "runs").rglob("evaluations.npz"):
        evaluations = Evaluations.load(path)
        evaluations.groups = {"test": ["first drive"] * 12 + ["second"] * 8}
        evaluations.save(path)
    suite_evaluations.write(tmp_path / "evaluations.npz", suite_evaluations.gather(tmp_path, rows))
    whole = compare(tmp_path, rows, 500)[1]
    blocks = compare(tmp_path, [row | {"block": 4} for row in rows], 500)[1]
    assert whole["delta_df"] == 1 and blocks["delta_df"] == 4, "3 and 2 blocks"
    assert whole["delta_vs_supervised"] == blocks["delta_vs_supervised"]


def test_calibration_is_drawn_in_the_units_that_its_histograms_are_summed_over(tmp_path):
    rows = one_seed(tmp_path)
    random = np.random.default_rng(0)
    for path in (tmp_path / "runs").rglob("evaluations.npz"):
        evaluations = Evaluations.load(path)
        evaluations.groups = {"test": [f"drive {number // 4}" for number in range(20)]}
        for network in evaluations.networks:
            counts = random.integers(0, 9, (20, 2, 32))
            evaluations.add_extra("confidence", evaluations.iterations[-1], "test", network, counts)
        evaluations.save(path)
    suite_evaluations.write(tmp_path / "evaluations.npz", suite_evaluations.gather(tmp_path, rows))
    records = Records("pocket", tmp_path, rows)
    [ours] = [cell for cell in records.cells() if cell.method == "unimatch" and cell.partition == "12"][:1]
    found = records.difference(ours, records.baseline(ours), metric="calibration_error")
    assert found.low < found.estimate < found.high and found.df == 4, "5 drives"


def test_without_stored_evaluations_there_is_a_difference_and_no_image_interval(tmp_path):
    row = compare(tmp_path / "elsewhere", one_seed(tmp_path / "made"))[1]
    assert row["delta_vs_supervised"] is not None and row["delta_ci_low"] is None and row["delta_covers"] is None


def test_nothing_is_subtracted_across_heads_or_lists(tmp_path):
    rows = one_seed(tmp_path)
    other_head = [row | {"head": "mask"} if row["method"] == "unimatch" else row for row in rows]
    table = compare(tmp_path, other_head)
    assert [row["delta_vs_supervised"] for row in table if row["method"] == "unimatch"] == [None] * 4
    other_list = [row | {"split_sha256": "f" * 64} if row["method"] == "unimatch" else row for row in rows]
    table = compare(tmp_path, other_list)
    assert [row["delta_vs_supervised"] for row in table if row["method"] == "unimatch"] == [None] * 4
    assert any(row["delta_vs_supervised"] is not None for row in table)


def test_every_head_has_its_own_baseline(tmp_path):
    """RC2L's mask head is compared with the supervised mask head and with nothing else."""
    methods = {"supervised": (0.0, "student"), "unimatch": (7.0, "student"), "fixmatch": (5.5, "student")}
    planned = studies.descriptions(seeds=2, ablations=False, methods=methods, partitions={"12": 12})
    rows = studies.simulate(tmp_path, planned, images=10, pictures=0)
    masked = {
        "unimatch": {"method": "supervised", "variant": "head=mask", "head": "mask"},
        "fixmatch": {"head": "mask"},
    }
    rows = [row | masked.get(row["method"], {}) for row in rows]
    by_cell = {(row["method"], row["variant"]): row for row in compare(tmp_path, rows)}
    mask, fixmatch = by_cell["supervised", "head=mask"], by_cell["fixmatch", "default"]
    assert mask["delta_vs_supervised"] is None, "heads are never subtracted from each other"
    assert fixmatch["delta_vs_supervised"] == pytest.approx(fixmatch["miou_last_mean"] - mask["miou_last_mean"])


# ------------------------------------------------------------------------------------------------ other tables


def test_ablations_show_the_papers_table_beside_ours(records):
    by_name = {table.name: table for table in ablations.build(records)}
    assert list(by_name) == ["ablation_threshold", "ablation_lambda_semi", "ablation_discriminator"]
    arms = {row["arm"]: row for row in by_name["ablation_threshold"].rows}
    assert list(arms) == ["0.0", "0.1", "0.2", "0.3", "1.0"]
    assert arms["0.3"]["published_miou"] == 68.7 and arms["0.1"]["published_miou"] is None
    assert arms["0.3"]["option"] == "t_semi" and arms["0.3"]["value"] == 0.3
    assert {row["arm"]: row["published_miou"] for row in by_name["ablation_discriminator"].rows}["none"] == 66.0
    note = by_name["ablation_threshold"].note
    assert "never subtracted" in note and "one seed" not in note
    default, zero = arms["0.2"], arms["0.0"]
    assert default["delta_vs_default"] is None and default["default_arm"] == "0.2"
    assert zero["default_miou_last_mean"] == pytest.approx(default["miou_last_mean"])
    assert zero["delta_vs_default"] == pytest.approx(zero["miou_last_mean"] - default["miou_last_mean"])


def test_the_papers_table_stands_beside_its_own_ablations_only(tmp_path):
    planned = studies.descriptions(seeds=1, ablations=False, partitions={"12": 12})
    for method, arm in (("supervised", "none"), ("fixmatch", "all")):
        row = next(row for row in planned if row["method"] == method)
        row["cells"].append({"kind": "fixmatch_parts", "arm": arm, "order": 99})
    records = Records("pocket", tmp_path, studies.simulate(tmp_path, planned, images=6, pictures=0))
    [table] = ablations.build(records)
    assert {row["arm"] for row in table.rows} == {"none", "all"}
    assert [row["published_miou"] for row in table.rows] == [None, None]
    assert {row["delta_covers"] for row in table.rows} == {None, "images"} and "Arms of one seed" in table.note
    assert [row["delta_p"] for row in table.rows] == [None, None] and not any(row["bold"] for row in table.rows)


def test_every_table_of_splits_says_which_list(study, made):
    known = {row["split_sha256"] for row in study[1]}
    for table in made.values():
        if any("partition" in row for row in table.rows):
            listed = [row["split_sha256"] for row in table.rows if row.get("partition")]
            assert set(listed) <= known and all(listed), table.name
            assert "split_sha256" in table.columns


def test_an_ablation_is_called_what_the_suite_calls_it(tmp_path):
    rows = one_seed(tmp_path / "made")
    for row in rows[:2]:
        row["cells"] = [{"kind": "mine", "arm": row["method"], "order": 1, "title": "What I wanted to know"}]
    [table] = ablations.build(Records("pocket", tmp_path / "made", rows, 50))
    assert table.caption.startswith("What I wanted to know. mIoU in percent")


def test_time_and_memory_stand_beside_those_of_supervised(records):
    rows = {(row["partition"], row["method"], row["kind"]): row for row in cost.build(records).rows}
    ours, theirs = rows["24", "unimatch", "comparison"], rows["24", "supervised", "comparison"]
    clock = "gpu_seconds" if ours["gpu_seconds"] else "cpu_seconds"
    assert ours["time_ratio"] == pytest.approx(ours[clock] / theirs[clock]) and ours["time_ratio"] != 1
    assert ours["memory_ratio"] == pytest.approx(680 / 700)
    assert theirs["time_ratio"] == theirs["memory_ratio"] == 1


def staged(folder):
    """Teacher, first and last student of one seed; the first student is shown in no cell."""
    rows = [row for row in one_seed(folder) if row["partition"] == "12" and row["method"] in ("supervised", "fixmatch")]
    rows = [row for row in rows if row["cells"][0]["kind"] == "comparison"]
    teacher, last = sorted(rows, key=lambda row: row["method"], reverse=True)
    first = last | {"run": "runs/first", "cells": [], "needs": {"teacher": teacher["run"]}}
    return teacher, first, last | {"needs": {"first_student": first["run"], "teacher": teacher["run"]}}


def test_a_chain_of_trainings_is_counted_once(tmp_path):
    rows = staged(tmp_path / "made")
    for row, seconds in zip(rows, (100.0, 20.0, 3.0), strict=True):
        row["record"] = row["record"] | {"cpu_seconds": seconds, "gpu_seconds": 0.0, "peak_memory_mib": seconds}
    teacher, student = cost.build(Records("pocket", tmp_path / "made", rows, 50)).rows
    assert (teacher["trainings"], teacher["cpu_seconds"]) == (1, 100)
    assert (student["trainings"], student["cpu_seconds"], student["peak_memory_mib"]) == (3, 123, 100)
    assert student["time_ratio"] == pytest.approx(1.23)
    assert student["seconds_per_iteration"] == pytest.approx(3 / 600), "of its own training"
    rows[1]["record"] = None
    assert cost.build(Records("pocket", tmp_path / "made", rows, 50)).rows[1]["cpu_seconds"] is None


def test_a_student_that_was_not_run_says_why(tmp_path):
    rows = staged(tmp_path / "made")
    reason = "not run: first student failed"
    rows = (*rows[:2], rows[2] | {"state": "missing", "reason": reason, "eval": None, "record": None})
    records = Records("pocket", tmp_path / "made", rows, 50)
    for table in (comparison.build(records, {}, ()), cost.build(records)):
        assert f"| {reason} |" in table.markdown(), table.name
    assert [one.text for one in run_health.findings(records) if one.kind == "not_run"] == [reason]


def test_a_run_shown_in_many_tables_costs_once(records, study):
    rows = cost.build(records).rows
    trained = {row["run"].rsplit("/", 1)[0] for row in study[1] if row["run"]}
    assert len([row for row in rows if row["state"] != "not_applicable"]) == len(trained)
    adv = next(row for row in rows if (row["variant"], row["partition"]) == ("adv_semi", "12"))
    assert adv["cpu_seconds"] < adv["wall_seconds"] and adv["peak_memory_mib"] == 700 and adv["energy_joules"] is None


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        (50, "estimated", "20"), (45, "estimated", "14"), (55, "estimated", "40"), (61, "above", "more than 200"),
        (39, "below", "fewer than 10"), (58, "not_estimated", "between 40 and 200: not estimated"),
        (60, "estimated", "200"),
    ],
)  # fmt: skip
def test_labels_needed_by_hand(target, status, text):
    """Budgets of 40 and 200 are too far apart to draw a line between them."""
    line = labels_saved.Line(np.array([10.0, 20, 40, 200]), np.array([40.0, 50, 55, 60]))
    needed = line.reach(target)
    assert (needed.status, needed.text) == (status, text)
    assert needed.labels == (pytest.approx(float(text), rel=0.02) if status == "estimated" else None)


def test_labels_saved_holds_the_needed_labels_in_its_interval(made):
    found = [row for row in made["labels_saved"].rows if row["labels_needed"] is not None]
    assert found, "12, 24 and 48 labels are within a factor of two"
    for row in found:
        assert row["factor"] == pytest.approx(row["labels_needed"] / row["labelled"])
        assert (row["labels_needed_low"] or 12) <= row["labels_needed"] <= (row["labels_needed_high"] or 240)


def test_other_metrics_stand_with_intervals_and_differences(made, records):
    table = made["metrics"]
    row = next(row for row in table.rows if (row["method"], row["partition"]) == ("unimatch", "12"))
    assert row["image_miou_ci_low"] < row["image_miou_mean"] < row["image_miou_ci_high"]
    assert row["worst_tenth_mean"] < row["image_miou_mean"] and row["worst_tenth_delta_covers"] == "seeds+images"
    cell = next(cell for cell in records.cells() if (cell.method, cell.partition) == ("unimatch", "12"))
    theirs = records.baseline(cell)
    mean = [np.mean([records.value(run, "student", "image_miou") for run in one.finished]) for one in (cell, theirs)]
    assert row["image_miou_delta"] == pytest.approx(mean[0] - mean[1])
    assert "boundary_miou_mean" not in table.columns, "the made study kept nothing near borders"
    assert "Worst tenth: mean of the images" in table.note


def test_a_metric_of_ones_own_has_a_column(tmp_path):
    """One file, named in `plugins:`, is all that it takes."""
    plugin = tmp_path / "pixel_accuracy.py"
    plugin.write_text(
        "import numpy as np\n"
        "from semiseg.scoring.metric import Metric\n"
        "class PixelAccuracy(Metric):\n"
        "    title, help = 'Pixel accuracy', 'share of right pixels'\n"
        "    @classmethod\n"
        "    def table(cls, per_image):\n"
        "        return np.stack([np.trace(per_image, axis1=1, axis2=2), per_image.sum((1, 2))], 1).astype(float)\n"
        "    @classmethod\n"
        "    def score(cls, weights, table):\n"
        "        return 100 * np.divide(*(weights @ table).T)\n"
    )
    rows = one_seed(tmp_path / "made", partitions={"12": 12})
    plugins.use([plugin])
    try:
        table = metrics.build(Records("pocket", tmp_path / "made", rows, 50))
    finally:
        plugins.use(None)
    row = table.rows[0]
    accuracy = rows_of(rows, row)["eval"]["networks"]["student"]["last"]["pixel_accuracy"]
    assert row["pixel_accuracy_mean"] == pytest.approx(accuracy) and "Pixel accuracy" in table.markdown()


def test_pseudo_labels_by_class_and_at_borders(made):
    table = made["pseudo_labels"]
    row = next(row for row in table.rows if (row["method"], row["partition"]) == ("unimatch", "24"))
    assert row["near_borders_mean"] < row["pseudo_accuracy_mean"] < row["inside_mean"] < 100
    assert row["confident_share_ci_low"] <= row["confident_share_mean"] <= row["confident_share_ci_high"]
    assert row["disc_mean"] == pytest.approx(row["pseudo_accuracy_mean"])
    assert "cross_mean" not in table.columns, "the class that was never selected"
    assert not any(row["method"] == "supervised" for row in table.rows)


def test_an_arm_shows_what_it_selects(made):
    """Share and accuracy of the selected pixels, beside the arm's mIoU."""
    table = made["ablation_threshold"]
    views = [view.title for view in table.views]
    assert views.index("mIoU last") < views.index("Selected %") < views.index("Right %")
    alone = {row["variant"]: row for row in made["pseudo_labels"].rows if row["method"] == "advsemiseg"}
    for row in table.rows:
        for key in ("confident_share_mean", "pseudo_accuracy_ci_high"):
            assert row[key] == alone[row["variant"]][key] is not None
        assert row["discriminator_loss"] == pytest.approx(0.5), "both halves"
    assert "Loss of D" in views


def test_corrupted_images_have_a_table_of_their_own(tmp_path):
    rows = studies.simulate(tmp_path, studies.descriptions(seeds=2, ablations=False, partitions={"12": 12}), images=6)
    assert corruptions.build(Records("pocket", tmp_path, rows, 50)) is None
    for number, row in enumerate(row for row in rows if row["eval"]):
        scores = [{"kind": "noise", "strength": s, "miou": 40.0 - s + number % 2, "error": 1.0, "drop": -10.0 - s,
                   "drop_error": 0.5} for s in (1, 2)]  # fmt: skip
        row["corruptions"] = {"clean": 50.0 + number % 2, "scores": scores}
    table = corruptions.build(Records("pocket", tmp_path, rows, 50))
    one = [row for row in table.rows if row["method"] == "unimatch"]
    assert [(row["corruption"], row["strength"]) for row in one] == [("all", None), ("noise", 1), ("noise", 2)]
    assert one[1]["miou_mean"] == pytest.approx(39.5) and one[1]["covers"] == "seeds" and one[1]["seeds"] == 2
    single = [row | {"state": "missing"} if row["seed"] else row for row in rows]
    [_, noise, _] = [row for row in corruptions.build(Records("pocket", tmp_path, single, 50)).rows
                     if row["method"] == "unimatch"]  # fmt: skip
    assert noise["covers"] == "images" and noise["miou_sd"] is None
    assert noise["drop_ci_high"] - noise["drop"] == pytest.approx(1.96 * 0.5, rel=0.01)


def rows_of(rows, wanted):
    return next(row for row in rows if (row["method"], row["variant"]) == (wanted["method"], wanted["variant"]))


def test_the_spread_that_was_put_in_is_recovered():
    values = np.random.default_rng(0).normal(0, 0.7, (400, 3)) + np.arange(400)[:, None]
    assert sensitivity.pooled_sd(values.tolist()) == pytest.approx(0.7, rel=0.06)
    assert sensitivity.pooled_sd([[1.0], [2.0]]) is None


def test_the_note_says_what_differs_by_chance_and_what_could_have_been_found(made, tmp_path):
    note = made["comparison"].note
    assert re.search(r"Trainings of one cell differ by \d\.\d points", note)
    assert re.search(r"A true difference to supervised of \d+\.\d points .* four of five such studies", note)
    planned = [one for one in studies.descriptions(seeds=1, ablations=False) if one["method"] == "supervised"]
    alone = Records("pocket", tmp_path, studies.simulate(tmp_path, planned, images=5, pictures=0), 50)
    assert sensitivity.sentences(alone) == "", "one training of one method shows neither"


# ------------------------------------------------------------------------------------------------ published figures


def voc_cell(**changes):
    from semiseg.report.cells import Cell, Run

    row = {"method": "unimatch", "variant": "default", "dataset": "voc", "split_family": "cps", "split_sha256": "ab",
           "partition": "1/8", "labelled": 1323, "encoder": "tu-resnet101.tv_in1k",
           "architecture": "deeplab_v3plus", "crop": [321, 321],
           "output_stride": 16, "network": "student", "seed": 0, "state": "done"}  # fmt: skip
    row["eval"] = {"networks": {"student": {"last": {"miou": 76.0}, "best": {"miou": 77.0}, "lastk": None}}}
    return Cell("comparison", "default", 0, (Run(row | changes, None),))


def test_only_figures_of_the_same_protocol_are_subtracted():
    rows = [published._row(figure, voc_cell()) for figure in published.of_cell(voc_cell(), published.figures())]
    by_value = {row["published_miou"]: row for row in rows}
    assert set(by_value) == {77.4, 77.0, 81.9, 78.4, 76.9, 70.0}, "UniMatch V2 is another method"
    fair = by_value[77.4]
    assert fair["our_rule"] == "best" and fair["difference"] == pytest.approx(-0.4) and fair["within"] == "yes"
    assert {value: row["reason"].split(":")[0] for value, row in by_value.items() if row["difference"] is None} == {
        81.9: "lists", 78.4: "crop", 76.9: "encoder", 70.0: "unconfirmed figure"
    }  # fmt: skip


def test_a_transformers_figure_belongs_to_its_encoder_and_crop(monkeypatch):
    from semiseg.report.figures_of_the_field import load

    monkeypatch.setattr(published, "stored", lambda: load().to_dict("records"))
    settings = {"method": "unimatch_v2", "split_family": "classic", "partition": "92", "labelled": 92,
                "architecture": "dpt", "crop": [518, 518], "output_stride": None, "network": "teacher"}  # fmt: skip
    found = {}
    for size in ("small", "base"):
        cell = voc_cell(**settings, encoder=f"tu-vit_{size}_patch14_dinov2.lvd142m")
        figures = published.of_cell(cell, published.figures())
        found[size] = [figure.value for figure in figures if not published.mismatch(figure, cell)]
    assert found == {"small": [79.11], "base": [86.3]}
    other = voc_cell(**settings | {"crop": [798, 798]}, encoder="tu-vit_base_patch14_dinov2.lvd142m")
    assert all(published.mismatch(figure, other) for figure in published.of_cell(other, published.figures()))


def test_comparison_takes_the_first_hand_figure():
    row: dict = {}
    published.fill_in(row, voc_cell(), published.figures())
    assert row == {"published_miou": 77.4, "published_source": "README"}
    row = {}
    published.fill_in(row, voc_cell(crop=[801, 801]), published.figures())
    assert row == {}


def test_tolerance_is_that_of_one_further_run():
    random = np.random.default_rng(0)
    within = 0
    for _ in range(1500):
        *ours, theirs = random.normal(70, 0.5, 4)
        within += abs(np.mean(ours) - theirs) <= published.tolerance(ours, voc_cell(), other_rule=False)
    assert within / 1500 == pytest.approx(0.95, abs=0.02)


def test_the_full_list_of_published_figures_is_understood():
    from semiseg.report.figures_of_the_field import load

    rows = load().to_dict("records")
    found = [figure for row in rows if (figure := published._figure(row)) is not None]
    assert {figure.method for figure in found} == set(names.in_order())
    fair = [figure.value for figure in found if not published.mismatch(figure, voc_cell(labelled=1323))
            and figure.method == "unimatch" and published._same_labels(figure, voc_cell())]  # fmt: skip
    assert 77.4 in fair and 81.92 not in fair
    defaults = {"lambda_adv_labelled": 0.01, "lambda_semi": 0.1, "t_semi": 0.2, "discriminator": "fcn"}
    arms = [
        published.ablation("advsemiseg", defaults | {"t_semi": t}, defaults, rows)["published_miou"]
        for t in (0, 0.1, 0.2, 0.3, 1)
    ]
    assert arms == [66.5, 68.0, 68.8, 68.7, 67.6]


# ------------------------------------------------------------------------------------------------ files


def test_every_format_is_written_twice_with_equal_bytes(study, tmp_path):
    folder, rows = study
    first = {table.name: table for table in tables.build("pocket", folder, rows)}
    before = {path.name: path.read_bytes() for path in (folder / "tables").iterdir()}
    tables.build("pocket", folder, list(reversed(rows)))
    after = {path.name: path.read_bytes() for path in (folder / "tables").iterdir()}
    assert before == after
    assert {name.split(".")[-1] for name in before} == {"csv", "md", "tex", "json"}
    read = read_all(folder / "tables")
    assert list(read) == list(first) and read["comparison"].csv() == first["comparison"].csv()


def test_figures_are_written_with_fixed_formats():
    row = {"a": 1 / 3, "b": None, "c": True, "d": 12, "e": 0.0004, "f": 61.25, "bold": True, "g": "<i>|x"}
    views = (
        View("A|B", ("a", "b"), "mean_sd", 2, bold=True), View("C", ("b",), "number"), View("E", ("e",), "p"),
        View("D", ("f", "a", "d"), "interval"), View("G", ("g",)),
    )  # fmt: skip
    table = Table("t_x", "Title", "50 % of λ", tuple("abcdef"), views, (row,), "note")
    assert table.csv() == "a,b,c,d,e,f\n0.333333,,true,12,0.0004,61.25\n"
    assert "| **0.33** | – | \\< 0.001 | +61.2 [+0.3, +12.0] | \\<i\\>\\|x |" in table.markdown()
    assert r"\textbf{0.33} & -- & \textless{} 0.001" in table.latex() and r"50 \% of $\lambda$" in table.latex()
    assert escape_latex("a_b&c\\") == r"a\_b\&c\textbackslash{}"


def test_missing_tables_are_named(tmp_path):
    with pytest.raises(UserError, match="comparison.json is missing"):
        Table.read(tmp_path / "comparison.json")
    with pytest.raises(UserError, match="no records"):
        Records("empty", tmp_path, [])


def test_json_for_the_pages_is_plain_json(study):
    folder, rows = study
    tables.build("pocket", folder, rows)
    stored = json.loads((folder / "tables" / "comparison.json").read_text())
    assert stored["name"] == "comparison" and len(stored["rows"]) == 22


def test_partitions_are_in_the_order_of_their_size_those_without_a_list_after_the_others():
    def ordered(*partitions):
        rows = [{"partition": name, "labelled": count} for name, count in partitions]
        return [row["partition"] for row in sorted(rows, key=partition_order)]

    found = ordered(("full", 367), ("1/2", None), ("1/8", 46), ("1/16", None), ("1/4", None))
    assert found == ["1/8", "1/16", "1/4", "1/2", "full"]
    assert ordered(("full", 480), ("1/2", 240), ("24", 24), ("mine", 30)) == ["24", "mine", "1/2", "full"]
    assert ordered(("mine", None), ("96", None), ("24", None)) == ["24", "96", "mine"]
