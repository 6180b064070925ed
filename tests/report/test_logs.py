"""Every run page leads to the end of its log, and looks the same where there is no log."""

from __future__ import annotations

import shutil

import pytest

from semiseg.report import html, tables
from semiseg.report.html import logs
from tests.report import studies
from tests.report.studies import DATASET
from tests.report.test_html import Page


@pytest.fixture
def suite(tmp_path):
    """A clone with one failed run and a log of each; `rows` are its records."""
    folder = tmp_path / "results" / "pocket"
    planned = studies.descriptions(seeds=1, ablations=False, partitions={"12": 12})
    names = [row["run"] for row in planned]
    states = {names[0]: "failed", names[1]: "missing"}
    rows = studies.simulate(folder, planned, images=6, pictures=0, states=states)
    for name in names:
        if name != names[1]:
            log = tmp_path / "logs" / "pocket" / "train" / f"{name.removeprefix('runs/')}.log"
            log.parent.mkdir(parents=True)
            log.write_text("".join(f"line {number} <script>alert(1)</script>\n" for number in range(100)))
    tables.build("pocket", folder, rows)
    return folder, rows, names


def build(folder, rows):
    html.build("pocket", folder, rows, dataset=DATASET)
    return {path.name: path for path in (folder / "report" / "runs").iterdir()}


def linked(page):
    [link] = [link for link in Page(page).links if link.startswith("../logs/")]
    return (page.parent / link).resolve()


def pages(folder):
    return {path: path.read_bytes() for path in (folder / "report").rglob("*.html")}


def test_finished_and_failed_runs_have_the_end_of_their_log(suite):
    folder, rows, names = suite
    made = build(folder, rows)
    for row in rows:
        page = made["--".join(row["run"].split("/")[1:]) + ".html"]
        if row["run"] == names[1]:
            assert not [link for link in Page(page).links if "logs/" in link], "it was never started"
            continue
        text = linked(page).read_text()
        assert text.startswith(f"{row['run']}, spec {row['record']['spec_sha256']}")
        assert text.count("\nline ") == logs.LINES and "line 99 " in text and "line 39 " not in text
        assert "alert(1)" not in page.read_text()


def test_pages_do_not_tell_whether_the_logs_are_at_hand(suite, tmp_path):
    folder, rows, names = suite
    build(folder, rows)
    before = pages(folder)
    kept = {path.name: path.read_text() for path in (folder / "report" / "logs").iterdir()}
    shutil.rmtree(tmp_path / "logs")
    build(folder, rows)
    assert pages(folder) == before
    assert {path.name: path.read_text() for path in (folder / "report" / "logs").iterdir()} == kept

    # A clone that has the results alone, and one whose log is of another training.
    for path in (folder / "report" / "logs").iterdir():
        path.write_text("runs/other, spec other\n")
    made = build(folder, rows)
    assert pages(folder) == before
    texts = {linked(page).read_text() for page in made.values() if "logs/" in page.read_text()}
    assert len(texts) == len(kept) and all(text.endswith(logs.ABSENT) for text in texts)


def test_logs_of_runs_that_are_planned_no_more_go(suite):
    folder, rows, _ = suite
    build(folder, rows)
    left = [row for row in rows if row["method"] == "supervised"]
    tables.build("pocket", folder, left)
    build(folder, left)
    assert len(list((folder / "report" / "logs").iterdir())) == 1
