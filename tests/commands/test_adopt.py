"""semiseg adopt --accept-code: which finished runs are accepted, and the note in their records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from semiseg.cli import main
from semiseg.commands import plan
from semiseg.runs.spec import spec_sha256
from semiseg.study.study import Study

MODULE = "semiseg.engine.ema"


@pytest.fixture
def older(finished, tmp_path, monkeypatch) -> Path:
    """A finished run with another hash of the teacher's file, as after an edit of that file."""
    root = tmp_path / "study"
    shutil.copytree(finished[0], root)
    monkeypatch.chdir(root)
    carried = json.loads((finished[1] / "spec.json").read_text())["spec"]
    carried["code"][MODULE] = "0" * 16
    carry(finished[1], carried)
    return finished[1]


def carry(run: Path, spec: dict) -> None:
    sha256 = spec_sha256(spec)
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"spec_sha256": sha256}))
    (run / "spec.json").write_text(json.dumps({"spec": spec, "sha256": sha256}))


def fresh(run: Path) -> bool:
    study = Study.load()
    return study.runs[run].fresh()


def adopt(*options: str) -> int:
    try:
        main(["adopt", "--quiet", *options])
    except SystemExit as error:
        return error.code
    return 0


def test_plan_names_the_file_whose_code_differs(older):
    assert "code changed in src/semiseg/engine/ema.py" in plan.why(Study.load(), str(older))


def test_code_is_accepted_with_a_reason_that_record_and_table_show(older, capsys):
    assert not fresh(older)
    assert adopt() == 1, "without a reason nothing is accepted"
    assert "code changed in src/semiseg/engine/ema.py" in capsys.readouterr().out
    before = json.loads((older / "spec.json").read_text())["spec"]
    assert adopt("--accept-code", "a variable has another name") == 0
    assert fresh(older)
    [accepted] = json.loads((older / "record.json").read_text())["accepted_code"]
    assert accepted["reason"] == "a variable has another name" and accepted["modules"] == [MODULE]
    after = json.loads((older / "spec.json").read_text())["spec"]
    assert accepted["from"] != accepted["to"]
    assert {key: value for key, value in before.items() if key != "code"} == {
        key: value for key, value in after.items() if key != "code"
    }
    main(["evaluate", str(older)])
    main(["report", "tables"])
    [row] = pd.read_csv("results/tiny/tables/comparison.csv").to_dict("records")
    assert row["state"] == "done" and "accepted code" in row["notes"]


def test_a_run_that_differs_in_more_than_code_is_not_accepted(older):
    spec = json.loads((older / "spec.json").read_text())["spec"]
    spec["config"]["recipe"]["optimiser"]["lr"] = 0.5
    carry(older, spec)
    assert adopt("--accept-code", "a variable has another name") == 1
    assert not fresh(older)
    assert "accepted_code" not in json.loads((older / "record.json").read_text())


def test_damaged_results_are_not_accepted(older):
    (older / "evaluations.npz").write_bytes(b"")
    assert adopt("--accept-code", "a variable has another name") == 1


def test_a_reason_is_wanted(older, capsys):
    assert adopt("--accept-code", " ") == 2
    assert "needs a reason" in capsys.readouterr().err
    assert not fresh(older)
