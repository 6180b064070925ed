"""Sentences of a study's page: who leads, on what grounds, and how certain it is. Each of them was wrong once."""

from __future__ import annotations

import pytest

from semiseg.report import control_figures, run_health, study_readme, tables
from semiseg.report.plots import alt_texts
from semiseg.report.records import Records
from semiseg.report.tables import cost, leaders, published
from tests.report import studies
from tests.report.studies import ADV, METHODS, built, result, seeds

LISTS = range(3)


def over_lists(method, *gains, base=40.0, **changes):
    """One training on each list."""
    return [result(method, k, base + gain, family=f"random:{k}", **changes) for k, gain in enumerate(gains)]


def page(tmp_path, rows):
    for row in rows:
        row |= {"title": row["method"], "fidelity": "", "tuning": row.get("tuning")}
    made = built(tmp_path, rows)
    return study_readme.text(Records("made", tmp_path, rows), made, {"order": [], "captions": {}})


def led(tmp_path, rows):
    [row] = built(tmp_path, rows)["leaders"].rows
    return row


def test_nobody_leads_of_two(tmp_path):
    """Two cells have one pair, which is tested without correction; the difference is judged with all others."""
    row = led(tmp_path, seeds("supervised", 40) + seeds("fixmatch", 45))
    assert row["sentence"].startswith(
        "With 12 labels (pixel head) FixMatch has a higher mIoU than Supervised. The student"
    )
    assert row["short"] == "FixMatch has the higher figure, +5.0 points to supervised"
    unsure = led(tmp_path, seeds("supervised", 40) + seeds("fixmatch", 40.1))
    assert unsure["short"].endswith("+0.1 points to supervised, not significant after correction")


def test_a_method_without_a_common_seed_is_no_baseline(tmp_path):
    rows = seeds("supervised", 40, only=(0, 1, 2)) + seeds("fixmatch", 43, only=(0, 1, 2))
    said = led(tmp_path, rows + seeds("unimatch", 50, only=(3, 4)))["sentence"]
    assert "UniMatch has 49.9, and no supervised run to be compared with." in said and "itself" not in said
    base = led(tmp_path, seeds("supervised", 50) + seeds("fixmatch", 43) + seeds("unimatch", 44))["sentence"]
    assert "The supervised baseline itself has the highest mIoU, 50.0." in base


def test_cells_above_the_top_that_are_not_ranked_are_named(tmp_path):
    rows = seeds("supervised", 40) + seeds("fixmatch", 43) + seeds("unimatch", 41) + seeds("cps", 60, only=(1,))
    rows += seeds("supervised", 55, variant="strong_long", iterations=1200)
    rows += seeds("supervised", 54.9, variant="strong", iterations=1200)
    row = led(tmp_path, rows)
    assert (row["top"], row["candidates"]) == ("FixMatch", 3), "one schedule, several trainings"
    assert (
        "Higher, but not ranked with these: CPS (60.1, one training), Supervised (strong_long) (55.0, 1,200 "
        "iterations) and Supervised (strong) (54.9, 1,200 iterations)." in row["sentence"]
    )


def test_several_trainings_of_one_cell_are_not_called_one(tmp_path):
    said = led(tmp_path, seeds("supervised", 40, only=(0,)) + seeds("fixmatch", 43))["sentence"]
    assert "Fewer than two cells have several trainings" in said and "Each cell is one training" not in said
    once = led(tmp_path, seeds("supervised", 40, only=(0,)) + seeds("fixmatch", 43, only=(0,)))["sentence"]
    assert "Each cell is one training" in once


def test_methods_above_the_best_supervised_variant_are_named_with_it(tmp_path):
    rows = seeds("supervised", 40) + seeds("supervised", 42, variant="strong") + seeds("fixmatch", 50)
    said = led(tmp_path, rows + seeds("unimatch", 42.1))["sentence"]
    assert said.endswith(
        "1 of 2 is significantly above the best supervised variant (corrected for 2 differences): FixMatch over "
        "Supervised (strong)."
    )


def test_what_would_be_found_is_that_of_the_lists(tmp_path):
    """Single trainings of each list would promise ten times as much."""
    rows = over_lists("supervised", 0, 0, 0) + over_lists("fixmatch", 1, 6, 11)
    said = page(tmp_path, rows)
    assert "A true difference to supervised of 15.5 points" in said
    assert "in four of five such studies, without correction for the number of comparisons." in said
    assert "true difference" not in built(tmp_path, rows)["comparison"].note


def test_labels_saved_are_withheld_with_several_lists_too(tmp_path):
    rows = [
        result(method, k, score + k, family=f"random:{k}", partition=str(size), labelled=size)
        for k in LISTS
        for method, size, score in (("supervised", 12, 40.0), ("supervised", 24, 46.0), ("fixmatch", 12, 43.0))
    ]  # fmt: skip
    for row in rows:
        curve = row["eval"]["networks"]["student"]["curves"]["test"]
        row["eval"]["networks"]["student"]["curves"]["test"] = [curve[-1] - 9, curve[-1] - 5, curve[-1]]
    made = built(tmp_path, rows)
    assert [row["kind"] for row in made["health"].rows if row["severity"] == run_health.BANNER]
    assert {row["status"] for row in made["labels_saved"].rows} == {"withheld"}


def test_a_partial_study_on_gpus_has_gpu_time():
    rows = [{"seeds": 3, "gpu_seconds": 60.0}, {"seeds": 0, "gpu_seconds": None}]
    assert cost.kind_of_time(rows) == "GPU"
    assert cost.kind_of_time([*rows, {"seeds": 1, "gpu_seconds": None}]) == "CPU"


@pytest.mark.parametrize(
    ("changed", "figure"), [({}, 68.8), ({"t_semi": 0.3}, 68.7), ({"lr_d": 2e-5}, None), ({"width_d": 16}, 68.8)]
)
def test_an_arm_has_the_paper_s_figure_only_if_the_paper_has_the_arm(changed, figure):
    """The suite's own width of the discriminator is no arm."""
    from semiseg.report.figures_of_the_field import load

    usual = ADV | {"lr_d": 1e-4, "width_d": changed.get("width_d", 64)}
    found = published.ablation("advsemiseg", usual | changed, usual, load().to_dict("records"))
    assert found.get("published_miou") == figure


def test_the_default_arm_is_named_where_it_is_no_row(tmp_path):
    usual, slow = {"confidence": 0.95, "speed": 1}, {"confidence": 0.95, "speed": 0}
    rows = seeds("supervised", 40) + seeds("fixmatch", 45, options=usual)
    rows += seeds("fixmatch", 44, kind="slow", arm="0.95", variant="speed=0", options=slow)
    table = built(tmp_path, rows)["ablation_slow"]
    assert "The default arm is no row here: it is FixMatch in the comparison." in table.note


def test_a_teacher_that_the_baseline_lacks_is_no_crash(tmp_path):
    rows = seeds("supervised", 40) + seeds("mean_teacher", 45, 46, network="teacher")
    for row in rows[:5]:
        del row["eval"]["networks"]["teacher"]
    [row] = [row for row in built(tmp_path, rows)["comparison"].rows if row["method"] == "mean_teacher"]
    assert row["delta_vs_supervised"] is None


def test_the_first_line_counts_trials_and_is_about_the_comparison(tmp_path):
    rows = seeds("supervised", 40) + seeds("fixmatch", 45) + seeds("fixmatch", 44, variant="long", iterations=1200)
    trial = result("cps", 0, 44.0, variant="trial1")
    trial |= {"cells": [], "tuning": {"trial": 1, "setting": {}}, "eval": trial["eval"] | {"evaluated_on": "val"}}
    first = page(tmp_path, [trial, *rows]).splitlines()[2]
    assert "600 and 1,200 iterations" in first and "scored on `test`" in first
    assert first.endswith("16 finished runs, 1 of them trials of the tuning.")
    ablated = seeds("fixmatch", 45, kind="threshold", arm="0", variant="confidence=0")
    planned = [row | {"state": "missing", "eval": None, "record": None} for row in seeds("supervised", 40)]
    assert page(tmp_path, ablated + planned).splitlines()[2] == "No run of the comparison is finished. 5 finished runs."


def test_two_kinds_of_lists_have_headings_of_their_own(tmp_path):
    rows = [row for family in ("random:0", "stratified:0") for method, score in (("supervised", 40), ("fixmatch", 45))
            for row in seeds(method, score, family=family)]  # fmt: skip
    text = page(tmp_path, rows)
    assert "### 12 labels (lists random:0)" in text and "### 12 labels (lists stratified:0)" in text
    assert "### 12 labels\n" in page(tmp_path, seeds("supervised", 40) + seeds("fixmatch", 45))


def test_collected_runs_alone_have_no_answer_but_are_said_to_be_there(tmp_path):
    rows = [row | {"source": "a colleague"} for row in seeds("supervised", 40) + seeds("fixmatch", 45)]
    assert study_readme.COLLECTED in page(tmp_path, rows)


def test_controls_are_counted_as_cells(tmp_path):
    control = {"variant": "control=oracle", "options": {"control": "oracle"}}
    one = built(tmp_path, seeds("supervised", 40) + seeds("fixmatch", 45, **control))
    assert control_figures.sentences(one).startswith(
        "With pseudo-labels from the hidden labels the only cell ends above supervised"
    )
    two = built(tmp_path, seeds("supervised", 40) + seeds("fixmatch", 45, **control) + seeds("cps", 46, **control))
    assert "all 2 cells end above supervised" in control_figures.sentences(two)


def test_alt_texts_are_those_of_all_lists(tmp_path):
    rows = over_lists("supervised", 0, 0, 0) + over_lists("fixmatch", 1, 2, 9) + over_lists("cps", 8, 5, 5)
    made = built(tmp_path, rows)
    texts = alt_texts.of_study(["losses", "training_curves", "cost"], made, "12")
    assert "CPS has the highest value, 46.0" in texts["training_curves"] and "each of 3 methods" in texts["losses"]
    assert "CPS" in texts["cost"]


def test_labels_that_are_selected_in_few_runs_are_counted(tmp_path, monkeypatch):
    rows = seeds("supervised", 40) + seeds("fixmatch", 45) + seeds("advsemiseg", 44, options={"lambda_semi": 0})
    shares = iter((0.005, 0.9, 0.9, 0.9, 0.9, *[0.001] * 5))
    records = Records("made", tmp_path, rows)
    for cell in records.cells()[1:]:
        for run in cell.finished:
            kept = type("Kept", (), {"diagnostics": [{"confident_share": next(shares)}], "losses": {}})()
            object.__setattr__(run, "stored", kept)
    found = [one for cell in records.cells() for one in run_health._nothing_selected(records, cell)]
    assert [one.text for one in found] == [
        "hardly any pseudo-label at the end: 0.5 % of the pixels are selected in 1 of 5 runs"
    ]


def test_shares_lie_between_0_and_100():
    found = tables.pseudo_labels._figures("confident_share", [0.98, 0.9, 1.0])
    assert found["confident_share_ci_high"] == 100.0 and 0 < found["confident_share_ci_low"] < 96


def test_fewer_labels_that_seem_better_are_judged_with_the_interval(tmp_path):
    """Two seeds that differ by twelve points cannot say that more labels do not help."""
    spread = (-20.0, 20.0)
    rows = seeds("supervised", 46, spread=spread) + seeds("fixmatch", 47, spread=spread)
    rows += seeds("supervised", 40, partition="24", labelled=24, spread=spread[::-1])
    [found] = [row for row in built(tmp_path, rows)["health"].rows if row["kind"] != "far_below"]
    assert (found["kind"], found["severity"]) == (run_health.UNCLEAR, run_health.WARNING)
    assert "it cannot be said whether more labels help. Supervised (pixel head) has 46.0 with 12" in found["text"]
    sure = seeds("supervised", 46) + seeds("supervised", 40, partition="24", labelled=24)
    assert [row["severity"] for row in built(tmp_path, sure)["health"].rows] == [run_health.BANNER]


def test_images_of_val_are_not_called_test_images():
    assert leaders.covered("seeds+images", "val") == (
        "other seeds and validation images, with one draw of the labelled images"
    )
    assert leaders.covered("seeds+lists+images", "test") == "other seeds, draws of the labelled images and test images"


def test_a_study_on_two_images_says_so(tmp_path):
    rows = studies.descriptions(seeds=2, ablations=False, methods=METHODS, partitions={"12": 12})
    rows = studies.simulate(tmp_path, rows, images=2, pictures=0)
    records = Records("pocket", tmp_path, rows)
    assert [one.text for one in run_health.findings(records) if one.kind == "few_images"] == [
        "Scored on 2 images of test: intervals from so few cannot be trusted."
    ]
    made = {table.name: table for table in tables.assemble(records)}
    text = study_readme.text(records, made, {"order": [], "captions": {}})
    assert "scored on 2 images of `test`." in text and "> **Warning.** Scored on 2 images" in text
