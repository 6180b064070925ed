"""semiseg report: from the records of a finished study."""

from __future__ import annotations

import shutil

import pytest

from semiseg.cli import main
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
