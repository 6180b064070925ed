"""Controls are answered in sentences and in a table of their own, on the page of the study and in its report."""

from __future__ import annotations

from semiseg.report import control_figures, study_readme, tables
from semiseg.report.html import answer, first_page
from semiseg.report.records import Records
from semiseg.report.tables import leaders
from tests.report.studies import FULL, result


def made(tmp_path, *controls):
    """Supervised has 40 with 12 labels and 80 with all; controls: (method, mIoU, options)."""
    rows = [result("supervised", 0, 40.0), result("supervised", 0, 80.0, partition=FULL, labelled=240)]
    for method, miou, options in controls:
        variant = ",".join(f"{key}={value}" for key, value in options.items())
        rows.append(result(method, 0, miou, variant=variant, options=options))
    records = Records("made", tmp_path, [row | {"fidelity": ""} for row in rows])
    return records, {table.name: table for table in tables.assemble(records)}


def test_both_controls_of_a_method_stand_side_by_side(tmp_path):
    _, built = made(
        tmp_path,
        ("fixmatch", 78.0, {"control": "oracle"}),
        ("fixmatch", 20.0, {"control": "shuffled"}),
        ("fixmatch", 79.0, {"control": "oracle", "lambda_unlabelled": 2}),
        ("cps", 39.0, {"control": "oracle"}),
        ("cps", 41.0, {"control": "shuffled"}),
    )
    [(place, table)] = control_figures.places(built)
    rows = table.rows
    assert place["labelled"] == 12
    figures = {row["label"]: (row["baseline"], row.get("oracle"), row.get("shuffled")) for row in rows}
    assert figures == {
        "CPS": (40.0, 39.0, 41.0),
        "FixMatch": (40.0, 78.0, 20.0),
        "FixMatch (lambda_unlabelled=2)": (40.0, 79.0, None),
    }
    assert round(next(row for row in rows if row["label"] == "FixMatch")["oracle_gap"]) == 95
    assert control_figures.sentences(built) == (
        "With pseudo-labels from the hidden labels 2 of 3 cells end above supervised, by 38.0 to 39.0 points. "
        "With pseudo-labels from the prediction for another image 1 of 2 cells ends below supervised, by 20.0 "
        "points."
    )


def test_a_study_of_controls_alone_is_answered_by_them(tmp_path):
    records, built = made(tmp_path, ("cps", 70.0, {"control": "oracle"}), ("unimatch", 75.0, {"control": "oracle"}))
    said = "With pseudo-labels from the hidden labels all 2 cells end above supervised, by 30.0 to 35.0 points."
    page = study_readme.text(records, built, {"order": [], "captions": {}})
    assert f"**Answer.** {said}" in page
    table = page.split("## Controls")[1].split("## ")[1]
    assert "| UniMatch | 40.0 | 75.0 | +35.0" in table and "Another image |" not in table
    assert answer.answer(built)[0] == said
    assert answer.points(built["comparison"].rows[:1], built) == [("Controls", [said])]
    assert answer.ran(built).startswith("1 variant of 1 method;")
    [shown] = [place.controls for place in first_page.places(built) if place.controls]
    assert [row["label"] for row in shown.rows] == ["CPS", "UniMatch"]
    assert "Another image" not in {view.title for view in shown.views}


def test_without_controls_nothing_is_said_of_them(tmp_path):
    records, built = made(tmp_path)
    assert control_figures.sentences(built) == "" and answer.answer(built)[0] == leaders.NOTHING
    page = study_readme.text(records, built, {"order": [], "captions": {}})
    assert leaders.NOTHING in page and "## Controls" not in page
