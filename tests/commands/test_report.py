"""semiseg report: from the records of a finished study."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
import yaml

from semiseg.cli import main
from semiseg.study.study import Study
from tests import tiny


@pytest.fixture
def reported(tmp_path, monkeypatch):
    """A study with a report, and none of its runs finished."""
    root = tiny.workspace(tmp_path / "work", tiny.params({"supervised": {"at": [4]}}))
    monkeypatch.chdir(root)
    main(["report"])
    return root


def test_a_report_of_nothing_says_so_and_is_in_the_index(reported):
    assert "missing" in (reported / "results/tiny/tables/comparison.csv").read_text()
    assert "tiny/report/index.html" in (reported / "results/index.html").read_text()


def test_against_another_study(reported, capsys):
    shutil.copytree(reported / "results/tiny", reported / "results/before")
    stamps = [path.read_bytes() for path in sorted(reported.glob("results/tiny/*/made_from.json"))]
    main(["report", "--against", "results/before"])
    assert "0 of 1 cells changed" in capsys.readouterr().out
    assert "not finished in both" in (reported / "results/tiny/against/against.csv").read_text()
    assert stamps == [path.read_bytes() for path in sorted(reported.glob("results/tiny/*/made_from.json"))]


def test_against_nothing(reported, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", "--against", "results/nowhere"])
    assert stop.value.code == 2
    assert "results/nowhere/records.jsonl does not exist" in capsys.readouterr().err


def test_results_that_came_without_their_run_folders_are_not_lost(reported, capsys):
    """In a clone with committed results, an empty report must not replace them."""
    path = reported / "results/tiny/records.jsonl"
    rows = [json.loads(line) | {"state": "done"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = {one: one.read_bytes() for one in reported.glob("results/tiny/**/*") if one.is_file()}
    for part in ("all", "tables"):
        with pytest.raises(SystemExit) as stop:
            main(["report", part])
        assert stop.value.code == 2
    assert "lists 1 finished runs whose folders are missing" in capsys.readouterr().err
    assert before == {one: one.read_bytes() for one in reported.glob("results/tiny/**/*") if one.is_file()}


def test_pages_are_made_without_the_images(reported):
    """A clone has the records of a study, but not its data: nothing is fetched for the pages."""
    assert not (reported / "data/tiny/manifest.json").exists()
    shutil.rmtree(reported / "data/tiny/raw")
    shutil.rmtree(reported / "results/tiny/report")
    main(["report", "html"])
    assert (reported / "results/tiny/report/index.html").exists()


@pytest.mark.parametrize(("change", "stale"), [
    ({"suites.tiny.block": 5}, {"tables", "plots", "report"}),
    ({"datasets.tiny.redistributable": False}, {"report"}),
    ({}, set()),
])  # fmt: skip
def test_what_intervals_and_pictures_depend_on_makes_them_stale(change, stale, reported):
    content = yaml.safe_load(Path("params.yaml").read_text())
    for key, value in change.items():
        *parents, last = key.split(".")
        functools.reduce(dict.__getitem__, parents, content)[last] = value
    Path("params.yaml").write_text(yaml.safe_dump(content))
    products = Study.load().products()
    assert {kind for kind in ("tables", "plots", "report") if not products[kind]["tiny"].fresh()} == stale
