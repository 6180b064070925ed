"""What the report may conclude: each test is a false or misleading conclusion that it once drew."""

from __future__ import annotations

import dataclasses
import re

import pytest

from semiseg.report import names, run_health
from semiseg.report.html import answer
from semiseg.report.plots import lines
from semiseg.report.records import Records
from semiseg.report.tables import leaders
from tests.report.studies import built, result, seeds


def row_of(table, method, **wanted):
    [row] = [row for row in table.rows if row["method"] == method
             and all(row[key] == value for key, value in wanted.items())]  # fmt: skip
    return row


def test_controls_stand_apart_and_never_rank(tmp_path):
    control = {"variant": "control=oracle", "options": {"control": "oracle"}}
    rows = seeds("supervised", 40) + seeds("fixmatch", 45) + seeds("unimatch", 80, **control)
    made = built(tmp_path, rows)
    assert {row["method"] for row in made["comparison"].rows} == {"supervised", "fixmatch"}
    [row] = made["controls"].rows
    assert row["role"] == "control" and not row["bold"] and row["leading"] is None
    assert row["delta_vs_supervised"] == pytest.approx(40, abs=1)
    for name in ("leaders", "pairs", "labels_saved"):
        assert "unimatch" not in made[name].csv() and "UniMatch" not in made[name].csv()
    assert "controls" not in built(tmp_path, seeds("supervised", 40) + seeds("fixmatch", 45))


def test_a_winner_that_cannot_be_told_from_the_next_is_no_winner(tmp_path):
    rows = seeds("supervised", 40) + seeds("cps", 50.4) + seeds("unimatch", 50.0) + seeds("fixmatch", 44)
    made = built(tmp_path, rows)
    leading = {row["method"] for row in made["comparison"].rows if row["leading"]}
    assert leading == {"cps", "unimatch"} == {row["method"] for row in made["comparison"].rows if row["bold"]}
    [led] = made["leaders"].rows
    assert led["leading"] == "CPS, UniMatch" and "leading group is CPS and UniMatch" in led["sentence"]
    assert (led["above_supervised"], led["compared"]) == (3, 3)
    assert "3 of 3 variants are significantly above supervised: CPS, UniMatch, FixMatch (" in led["sentence"]
    assert "helped most" not in led["sentence"]


def test_heads_are_never_ranked_against_each_other(tmp_path):
    mask = {"head": "mask"}
    rows = seeds("supervised", 40) + seeds("unimatch", 50) + seeds("fixmatch", 45)
    rows += seeds("supervised", 10, variant="head=mask", **mask) + seeds("rc2l", 38, **mask)
    made = built(tmp_path, rows)
    tops = [(row["head"], row["top"]) for row in made["leaders"].rows]
    assert tops == [("pixel", "UniMatch"), ("mask", names.label("rc2l"))]
    assert not row_of(made["comparison"], "rc2l")["bold"], "two cells are no field"
    assert {row["head"] for row in made["pairs"].rows if row["method_a"] == "rc2l"} == {"mask"}
    assert all(row["method_b"] != "rc2l" for row in made["pairs"].rows)


def test_nothing_is_bold_where_nothing_can_be_told_apart(tmp_path):
    rows = seeds("supervised", 40) + seeds("unimatch", 40.1) + seeds("fixmatch", 40.2)
    made = built(tmp_path, rows)
    assert [row["leading"] for row in made["comparison"].rows] == [True] * 3
    assert not any(row["bold"] for row in made["comparison"].rows)
    said = made["leaders"].rows[0]["sentence"]
    assert "FixMatch has the highest mIoU, but none of the other 2 cells differs significantly from it" in said
    assert said.endswith("above supervised (corrected for these 2 differences only).") and " 0 of 2 variants" in said


def test_each_row_shows_the_baseline_that_was_subtracted(tmp_path):
    """A method that reports its teacher is compared with the teacher, whose figure stands beside it."""
    rows = seeds("supervised", 33.8, 31.8) + seeds("scl", 34.0, 32.2, network="teacher") + seeds("cps", 36)
    table = built(tmp_path, rows)["comparison"]
    row = row_of(table, "scl")
    assert row["baseline_network"] == "teacher" and row["baseline_miou_last_mean"] == pytest.approx(31.8)
    assert row["delta_vs_supervised"] == pytest.approx(row["miou_last_mean"] - row["baseline_miou_last_mean"])
    assert "31.8 (teacher)" in table.markdown()
    partial = [row for row in rows if not (row["method"] == "cps" and row["seed"] > 1)]
    row = row_of(built(tmp_path, partial)["comparison"], "cps")
    assert row["delta_seeds"] == 2
    assert row["delta_vs_supervised"] == pytest.approx(row["miou_last_mean"] - row["baseline_miou_last_mean"])


def test_the_second_difference_is_to_the_best_supervised_variant(tmp_path):
    longer = seeds("supervised", 47, variant="strong_long", iterations=1200)
    rows = seeds("supervised", 40) + seeds("supervised", 45, variant="strong") + longer + seeds("unimatch", 50)
    table = built(tmp_path, rows)["comparison"]
    row = row_of(table, "unimatch")
    assert row["strong_variant"] == "strong_long" and row["delta_vs_strong"] == pytest.approx(3)
    assert row["delta_vs_strong_ci_low"] < 3 < row["delta_vs_strong_ci_high"] and row["delta_vs_strong_p_holm"] < 0.05
    strong = row_of(table, "supervised", variant="strong")
    assert strong["role"] == "strong" and strong["delta_vs_supervised"] == pytest.approx(5)
    long = row_of(table, "supervised", variant="strong_long")
    assert long["delta_vs_supervised"] == pytest.approx(7) and long["delta_ci_low"] is not None
    assert strong["delta_vs_strong"] is None and "Δ strong supervised" in table.markdown()
    alone = built(tmp_path, seeds("supervised", 40) + seeds("unimatch", 50))["comparison"]
    assert row_of(alone, "unimatch")["delta_vs_strong"] is None and "Δ strong" not in alone.markdown()


def curve(*points, **changes):
    return [
        row
        for labelled, miou in points
        for row in seeds(
            "supervised", miou, partition="full" if labelled == 240 else str(labelled), labelled=labelled, **changes
        )
    ]


def test_a_study_whose_labels_do_not_help_says_so_and_saves_none(tmp_path):
    made = built(tmp_path, curve((12, 40), (24, 38)) + seeds("unimatch", 39))
    [banner] = [row for row in made["health"].rows if row["severity"] == "banner"]
    assert "more labels do not help" in banner["text"] and "40.0 with 12" in banner["text"]
    [saved] = made["labels_saved"].rows
    assert saved["status"] == "withheld" and saved["labels_needed"] is None and "no better with 24" in saved["reason"]
    assert made["leaders"].rows[0]["undertrained"] is True
    assert row_of(made["comparison"], "unimatch")["gap_closed"] is None


def test_a_gain_within_the_noise_is_not_called_undertrained(tmp_path):
    wide = (-20.0, 5.0, 25.0, -15.0, 10.0)
    rows = curve((12, 40)) + seeds("supervised", 47, partition="24", labelled=24, spread=wide)
    made = built(tmp_path, rows + seeds("unimatch", 43))
    [row] = made["health"].rows
    assert row["severity"] == "warning" and "cannot be said whether more labels help" in row["text"]
    assert re.search(r"has 40\.0 with 12 labels and 48\.0 with 24: \+8\.0 \[-\d", row["text"]), row["text"]
    assert made["leaders"].rows[0]["undertrained"] is False
    assert made["labels_saved"].rows[0]["status"] == "withheld"


def test_a_study_whose_curves_still_rise_says_so(tmp_path):
    rising = curve((12, 40), (24, 46), curve=(-20.0, -5.0, 0.0)) + seeds("unimatch", 43)
    made = built(tmp_path, rising)
    texts = [row["text"] for row in made["health"].rows if row["severity"] == "banner"]
    assert len(texts) == 2 and "still gained 5.0 points after iteration 400 of 600" in texts[0]
    assert made["labels_saved"].rows[0]["status"] == "withheld"
    quiet = built(tmp_path, curve((12, 40), (24, 46)) + seeds("unimatch", 43))
    assert not quiet["health"].rows and quiet["labels_saved"].rows[0]["status"] == "estimated"


def test_labels_saved_and_its_interval_come_from_one_curve(tmp_path):
    made = built(tmp_path, curve((12, 40), (24, 46), (48, 50)) + seeds("unimatch", 43))
    [row] = made["labels_saved"].rows
    assert row["labels_needed"] == pytest.approx(12 * 2**0.5, rel=0.01)
    assert row["labels_needed_low"] < row["labels_needed"] < row["labels_needed_high"] < 24
    far = built(tmp_path, curve((12, 40), (240, 60)) + seeds("unimatch", 45))
    [row] = far["labels_saved"].rows
    assert row["needed_text"] == "between 12 and 240: not estimated" and row["labels_saved"] is None


def test_an_ablation_is_measured_against_its_default_arm(tmp_path):
    arms = {"kind": "threshold"}
    one = [result("fixmatch", 0, 59.1, variant="default", arm="0.2", **arms),
           result("fixmatch", 0, 61.3, variant="confidence=0", arm="0", **arms)]  # fmt: skip
    compared = [result("fixmatch", seed, 60.2, variant="default") for seed in range(1, 5)]
    one[0]["cells"].append(compared[0]["cells"][0])
    table = built(tmp_path, seeds("supervised", 55) + one + compared)["ablation_threshold"]
    zero, default = (next(row for row in table.rows if row["arm"] == arm) for arm in ("0", "0.2"))
    assert zero["delta_vs_default"] == pytest.approx(2.2) and zero["default_miou_last_mean"] == pytest.approx(59.1)
    assert (zero["delta_p"], zero["bold"], zero["miou_last_sd"]) == (None, False, None), "one seed"
    assert (
        default["comparison_seeds"] == 5 and "The default arm has 59.1 here over 1 of the seeds, and 60.0" in table.note
    )


def test_arms_with_another_recipe_are_measured_against_the_one_with_default_options(tmp_path):
    longer = {"kind": "longer", "iterations": 1200}
    rows = seeds("fixmatch", 56, variant="default", options={"confidence": 0.95})
    rows += seeds("fixmatch", 60, variant="iterations=1200,zero", arm="zero", options={"confidence": 0}, **longer)
    rows += seeds("fixmatch", 58, variant="iterations=1200", arm="usual", options={"confidence": 0.95}, **longer)
    table = built(tmp_path, seeds("supervised", 55) + rows)["ablation_longer"]
    zero, usual = (next(row for row in table.rows if row["arm"] == arm) for arm in ("zero", "usual"))
    assert zero["default_arm"] == "usual" and zero["delta_vs_default"] == pytest.approx(2.0)
    assert usual["delta_vs_default"] is None


def test_arms_of_several_seeds_are_bold_when_they_differ_from_the_default(tmp_path):
    arms = {"kind": "threshold"}
    rows = seeds("fixmatch", 50, variant="default", arm="default", **arms)
    rows += seeds("fixmatch", 60, variant="confidence=0", arm="zero", spread=(0.3, -0.2, 0.1, 0.2, 0.0), **arms)
    rows += seeds("fixmatch", 50.1, variant="confidence=1", arm="one", spread=(0.6, -0.2, -0.6, 0.2, 0.0), **arms)
    table = built(tmp_path, seeds("supervised", 40) + rows)["ablation_threshold"]
    assert {row["arm"]: row["bold"] for row in table.rows} == {"default": False, "zero": True, "one": False}


def test_a_method_that_does_harm_on_one_list_is_named(tmp_path):
    rows = []
    for number, value in enumerate((52.0, 20.0, 51.0)):
        family = {"family": f"random:{number}"}
        rows.append(result("supervised", number, 50.0, **family))
        rows.append(result("unimatch", number, value, **family))
        rows.append(result("fixmatch", number, (41.0, 58.0, 46.0)[number], **family))
    found = [row for row in built(tmp_path, rows)["health"].rows if row["kind"] == "far_below"]
    assert [(row["method"], row["runs"]) for row in found] == [("unimatch", 1)]
    assert found[0]["text"] == (
        "1 of 3 trainings ends more than 10 points below supervised on the same list, at worst 30.0 points"
    )
    table = built(tmp_path, rows)["comparison_over_lists"]
    assert [view.text(row_of(table, "unimatch")) for view in table.views if view.title == "Better in"] == ["2 of 3"]
    [row] = built(tmp_path, rows)["leaders"].rows
    assert row["short"].startswith("none of the other 2 cells differs significantly from the top, Supervised")


def test_arms_on_several_lists_are_one_row(tmp_path):
    """Paired by list and seed, so the interval covers lists."""
    rows = []
    for number, spread in enumerate((0.3, -0.2, 0.1)):
        family = {"family": f"random:{number}"}
        rows.append(result("supervised", number, 40.0 + 5 * number, **family))
        for arm, value in (("default", 50.0), ("confidence=0", 54.0 + spread)):
            rows.append(
                result("fixmatch", number, value + 5 * number, variant=arm, kind="threshold", arm=arm, **family)
            )
    table = built(tmp_path, rows)["ablation_threshold"]
    zero, default = sorted(table.rows, key=lambda row: row["arm"])
    assert [(row["seeds"], row["split_family"]) for row in table.rows] == 2 * [(3, "random:0,1,2")]
    assert zero["delta_vs_default"] == pytest.approx(4.07, abs=0.01) and zero["delta_covers"] == "seeds+lists"
    assert zero["delta_ci_low"] > 3 and zero["bold"] and not default["bold"]
    assert default["supervised_miou_last_mean"] == pytest.approx(45.0)


def test_words_for_an_interval_say_no_more_than_was_varied():
    assert leaders.covered("seeds") == "other seeds, with one draw of the labelled images"
    assert leaders.covered("seeds+images") == "other seeds and test images, with one draw of the labelled images"
    assert leaders.covered("seeds+lists+images").count("draws of the labelled images") == 1
    assert "one draw" not in leaders.covered("seeds+lists+images")


def test_a_gain_that_is_not_told_from_zero_is_called_so(tmp_path):
    noisy = (-6.0, 5.0, 4.0, -3.0, 1.0)
    made = built(tmp_path, seeds("supervised", 40) + seeds("unimatch", 41, spread=noisy) + seeds("scl", 30))
    assert "not significant after Holm" in made["leaders"].rows[0]["sentence"]


def test_health_notes_are_found_without_being_asked(tmp_path):
    rows = seeds("supervised", 40, dirty=True) + seeds("unimatch", 50, per_class=(60.0, 0.2))
    rows += seeds("fixmatch", 48, curve=(-9.0, -3.0, 0.0))
    made = built(tmp_path, rows)
    found = {row["kind"]: row for row in made["health"].rows}
    assert set(found) == {"collapsed_class", "still_rising"}, "tables are a function of specs and evaluations"
    assert (
        found["collapsed_class"]["text"].endswith("b (in 5 of 5 runs)")
        and found["collapsed_class"]["method"] == "unimatch"
    )
    assert found["still_rising"]["method"] == "fixmatch"
    [dirty] = run_health.dirty(Records("pocket", tmp_path, rows))
    assert "5 of 15 runs" in dirty.text
    assert row_of(made["comparison"], "unimatch")["notes"] == "collapsed class"


def test_several_lists_are_one_row_whose_interval_covers_them(tmp_path):
    """Lists differ by more than seeds: what nine trainings would claim, three lists do not."""
    rows = []
    for number, gain in enumerate((1.0, 6.0, 11.0)):
        family = {"family": f"stratified:{number}"}
        rows += [result("supervised", seed, 40.0 + seed, **family) for seed in range(3)]
        rows += [result("unimatch", seed, 40.0 + gain + 0.9 * seed, **family) for seed in range(3)]
    made = built(tmp_path, rows)
    [over] = [row for row in made["comparison_over_lists"].rows if row["method"] == "unimatch"]
    assert (over["lists"], over["seeds"], over["split_family"]) == (3, 9, "stratified:0,1,2")
    assert len(over["split_sha256"]) == 64 and over["split_sha256"] not in {row["split_sha256"] for row in rows}
    assert over["delta_covers"] == "seeds+lists" and over["delta_df"] == 2
    assert over["delta_vs_supervised"] == pytest.approx(5.9) and over["delta_ci_low"] < 0
    single = [row for row in made["comparison"].rows if row["method"] == "unimatch"]
    assert len(single) == 3 and all(row["delta_covers"] == "seeds" and row["delta_ci_low"] > 0 for row in single)
    assert "other seeds and draws of the labelled images" in made["leaders"].rows[0]["sentence"]
    assert "comparison_over_lists" not in built(tmp_path, rows[:6])
    assert "; 3 draws of the labelled images, with 3 seeds each; " in answer.ran(made)


def test_what_is_only_planned_was_not_run(tmp_path):
    made = built(tmp_path, seeds("supervised", 40) + seeds("unimatch", 42) + seeds("scl", 41))
    assert answer.ran(made).startswith("3 variants of 3 methods; ")
    table = made["comparison"]
    planned = [
        row | {"miou_last_mean": None, "state": "missing"} if row["method"] == "scl" else row for row in table.rows
    ]
    made["comparison"] = dataclasses.replace(table, rows=tuple(planned))
    assert answer.ran(made).startswith("2 variants of 2 methods; ")
    assert not any("Our reading" in said for said in answer._warnings(planned, made))


def test_gain_against_cost_is_drawn_over_all_lists(tmp_path, monkeypatch):
    rows = []
    for number, gain in enumerate((1.0, 6.0, 11.0)):
        family = {"family": f"stratified:{number}"}
        rows += [result("supervised", seed, 40.0 + seed, **family) for seed in range(3)]
        rows += [result("unimatch", seed, 40.0 + gain + 0.9 * seed, **family) for seed in range(3)]
    made, drawn = built(tmp_path, rows), []
    seconds = {number: 100.0 * (number + 1) for number in range(3)}
    costs = [
        {"split_family": f"stratified:{number}", "cpu_seconds": seconds[number] * (3 if method == "unimatch" else 1),
         "gpu_seconds": 0, "method": method, "kind": "comparison", "partition": row["partition"],
         "variant": row["variant"], "head": row["head"]}
        for number in range(3) for method in ("supervised", "unimatch")
        for row in made["comparison"].rows[:1]
    ]  # fmt: skip
    made["cost"] = dataclasses.replace(made["cost"], rows=tuple(costs))
    monkeypatch.setattr(lines, "gain_against_cost", lambda rows, seconds: drawn.extend(rows))
    lines.cost(Records("made", tmp_path, rows), made)
    points = {row["method"]: (row["seconds"], row["delta_vs_supervised"]) for row in drawn}
    assert points["unimatch"] == (pytest.approx(600), pytest.approx(5.9))
    assert points["supervised"][0] == pytest.approx(200)


def test_the_share_of_the_gap_is_taken_with_the_same_network(tmp_path):
    rows = curve((12, 40), (240, 60)) + seeds("unimatch", 45)
    assert row_of(built(tmp_path, rows)["comparison"], "unimatch")["gap_closed"] == pytest.approx(25)


def test_runs_whose_earlier_code_was_accepted_are_marked_in_every_table(tmp_path):
    note = [{"reason": "a message was worded anew", "modules": ["semiseg.engine.train"]}]
    arms = [{"kind": kind, "arm": "default", "order": 0} for kind in ("comparison", "sharpening")]
    rows = seeds("supervised", 40) + seeds("unimatch", 50)
    for row in rows:
        if row["method"] == "unimatch":
            row["cells"] = arms
    plain = built(tmp_path, rows)
    assert row_of(plain["comparison"], "unimatch")["notes"] is None
    assert "notes" not in plain["ablation_sharpening"].columns
    rows[-1]["record"]["accepted_code"] = note
    made = built(tmp_path, rows)
    assert row_of(made["comparison"], "unimatch")["notes"] == "accepted code"
    assert row_of(made["comparison"], "supervised")["notes"] is None
    assert row_of(made["ablation_sharpening"], "unimatch")["notes"] == "accepted code"
    assert "accepted code" in made["ablation_sharpening"].csv()
    [found] = [row for row in made["health"].rows if row["kind"] == "accepted_code"]
    assert found["text"].startswith("1 of 5 runs") and found["text"].endswith("a message was worded anew")


def computed(rows, **changes):
    """The same rows, with what their records say of precision, device and start weights."""
    said = {"precision": "bf16", "hardware": {"device": "cuda"}, "start_weights": {"sha256": "a" * 64}}
    for row in rows:
        row["record"] = row["record"] | said | changes
    return rows


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"precision": "fp32"}, "precision bf16 (4 trainings), fp32 (1 training)"),
        ({"hardware": {"device": "cpu"}}, "device CPU (1 training), GPU (4 trainings)"),
        ({"start_weights": {"sha256": "b" * 64}}, "start weights aaaaaaaa (4 trainings), bbbbbbbb (1 training)"),
    ],
)
def test_no_cell_averages_unlike_trainings_without_saying_so(tmp_path, other, said):
    arms = [{"kind": kind, "arm": "default", "order": 0} for kind in ("comparison", "sharpening")]
    rows = computed(seeds("supervised", 40) + seeds("unimatch", 50))
    for row in rows:
        if row["method"] == "unimatch":
            row["cells"] = arms
    alike = built(tmp_path, rows)
    assert not any("unlike" in row["kind"] for row in alike["health"].rows)
    assert not any("differ in precision" in table.note for table in alike.values())
    computed(rows[-1:], **other)
    made = built(tmp_path, rows)
    [found] = [row for row in made["health"].rows if row["kind"] == "unlike_trainings"]
    assert found["text"].endswith(f": {said}") and (found["method"], found["runs"]) == ("unimatch", 5)
    assert "unlike trainings" in row_of(made["comparison"], "unimatch")["notes"]
    assert row_of(made["comparison"], "supervised")["notes"] is None
    assert row_of(made["ablation_sharpening"], "unimatch")["notes"] == "unlike trainings"
    for name, table in made.items():
        assert ("differ in precision, device or start weights: UniMatch (12)" in table.note) == (name != "health")


def test_an_arm_that_stands_in_an_ablation_alone_says_so_too(tmp_path):
    rows = computed(seeds("supervised", 40)) + computed(seeds("unimatch", 50, kind="sharpening", arm="one"))
    computed(rows[-1:], precision="fp32")
    made = built(tmp_path, rows)
    assert [row["kind"] for row in made["health"].rows] == ["unlike_trainings"]
    assert [row["notes"] for row in made["ablation_sharpening"].rows] == ["unlike trainings"]


def test_a_baseline_that_was_computed_in_another_way_is_named(tmp_path):
    rows = computed(seeds("supervised", 40), precision="fp32") + computed(seeds("unimatch", 50))
    made = built(tmp_path, rows)
    [found] = made["health"].rows
    assert found["kind"] == "unlike_baseline" and found["text"].endswith("precision bf16 here and fp32 there")
    assert row_of(made["comparison"], "unimatch")["notes"] == "unlike baseline"


def test_records_that_do_not_say_how_they_were_computed_are_no_difference(tmp_path):
    rows = seeds("supervised", 40) + computed(seeds("unimatch", 50))
    del rows[-1]["record"]["precision"]
    assert not built(tmp_path, rows)["health"].rows


def test_the_same_trainings_under_two_names_are_one_difference(tmp_path):
    """Where the default setting was best, the row `tuned` has the runs of the row `default`."""
    default = seeds("supervised", 40) + seeds("unimatch", 44) + seeds("cps", 41)
    runs = zip(seeds("unimatch", 44, variant="tuned"), seeds("unimatch", 44), strict=True)
    tuned = [row | {"eval": same["eval"]} for row, same in runs]
    alone, both = (built(tmp_path / name, rows) for name, rows in (("a", default), ("b", default + tuned)))
    p = row_of(alone["comparison"], "unimatch")["delta_p_holm"]
    for variant in ("default", "tuned"):
        assert row_of(both["comparison"], "unimatch", variant=variant)["delta_p_holm"] == p
    assert both["leaders"].rows == alone["leaders"].rows  # it is named and counted once
    assert both["pairs"].rows == alone["pairs"].rows
    standing = {row["variant"]: row["leading"] for row in both["comparison"].rows if row["method"] == "unimatch"}
    assert standing["tuned"] == standing["default"] is True
