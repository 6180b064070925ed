"""results/<suite>/README.md says what the tables say, and links what is there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from semiseg.base.files import read_json
from semiseg.report import rebuild, study_readme
from semiseg.report.html import answer
from semiseg.report.table import read_all
from semiseg.runs import collect
from tests.report import studies

METHODS = {"supervised": (0.0, "student"), "cutmix_seg": (30.0, "teacher"), "unimatch": (33.0, "student"),
           "mean_teacher": (1.0, "teacher")}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "pocket"
    planned = studies.descriptions(seeds=3, ablations=False, methods=METHODS, partitions={"12": 12, "full": 240})
    unfinished = [row["run"] for row in planned if row["method"] == "mean_teacher" and row["seed"] == 2]
    rows = studies.simulate(folder, planned, images=12, pictures=0, states=dict.fromkeys(unfinished, "missing"))
    rebuild.rebuild(folder, rows)
    return folder


@pytest.fixture(scope="module")
def page(study):
    return (study / study_readme.NAME).read_text()


def section(page: str, title: str) -> str:
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_answer_is_that_of_the_leading_groups(study, page):
    from semiseg.report.table import Table

    first = max(Table.read(study / "tables/leaders.json").rows, key=lambda row: row["candidates"])
    [answer] = re.findall(r"^\*\*Answer\.\*\* (.*)$", page, re.MULTILINE)
    assert answer == first["sentence"]
    assert len(re.findall(r"\.(?= [A-Z0-9]|$)", answer)) <= 4


def test_tables_have_at_most_eight_columns_and_are_sorted_by_gain(page):
    rows = [line for line in section(page, "Results").splitlines() if line.startswith("| ")]
    assert all(line.count("|") <= 9 for line in rows)
    gains = [re.search(r"[+-]\d+\.\d \[", line) for line in rows]
    found = [float(gain.group()[:-2]) for gain in gains if gain]
    assert len(found) == 5 and found == sorted(found, reverse=True)


def test_each_row_shows_the_baseline_of_its_own_network(study, page):
    from semiseg.report.table import Table

    for row in Table.read(study / "tables/comparison.json").rows:
        if row["method"] == "cutmix_seg" and row["miou_last_mean"] is not None:
            [line] = [line for line in page.splitlines() if line.startswith(("| CutMix", "| **CutMix"))]
            cells = [cell.strip(" *") for cell in line.split("|")[1:-1]]
            assert cells[2:4] == ["teacher", f"{row['baseline_miou_last_mean']:.1f}"]


def test_what_is_missing_comes_with_its_command(page):
    said = section(page, "What is missing")
    assert "1 run is missing; `snakemake --profile local all --config suite=pocket` makes them" in said


def test_plots_and_files_that_are_linked_exist(study, page):
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(re.findall(r"^!\[", page, re.MULTILINE)) == 4
    assert links and [link for link in links if not (study / link).exists()] == []


def test_warnings_are_limits_and_names_of_classes_are_no_markup(study, page):
    rows = collect.read(study / "records.jsonl")
    for row in rows:
        if row["method"] == "unimatch" and row["eval"]:
            row["eval"]["networks"]["student"]["last"]["per_class"][3] = 0.0  # the class "<script>"
    rebuild.tables.build("pocket", study, rows)
    study_readme.build("pocket", study, rows)
    limits = section((study / study_readme.NAME).read_text(), "Limits")
    assert r"not found, IoU below 0.5 %: \<script\>" in limits and "UniMatch (12 labels)" in limits


def test_times_of_different_processors_are_not_to_be_compared(study, page, tmp_path):
    assert "Trainings ran on" not in page
    study = Path(shutil.copytree(study, tmp_path / "pocket"))
    rows = rebuild.read_rows(study)
    done = next(row for row in rows if row["state"] == "done" and row["partition"] == "12")
    done["record"]["hardware"] |= {"cpu": "Another CPU", "gpu": None}
    rebuild.rebuild(study, rows)
    limits = section((study / study_readme.NAME).read_text(), "Limits")
    note, captions = read_all(study / "tables")["cost"].note, read_json(study / "plots/captions.json")["captions"]
    tables = read_all(study / "tables")
    rows = [row for row in tables["comparison"].rows if row["partition"] == "12" and row["miou_last_mean"] is not None]
    answered = " ".join(dict(answer.points(rows, tables))["Cost"])
    for text in (limits, note, captions["cost"]["caption"], answered):
        assert "Trainings ran on " in text and "Another CPU" in text


def test_nothing_finished(tmp_path):
    planned = studies.descriptions(seeds=1, ablations=False, methods=METHODS, partitions={"12": 12})
    missing = {row["run"]: "missing" for row in planned if row["run"]}
    rebuild.rebuild(tmp_path, studies.simulate(tmp_path, planned, images=2, pictures=0, states=missing))
    page = (tmp_path / study_readme.NAME).read_text()
    assert "No run of this study is finished." in page and "## Results" not in page and "## Plots" not in page
