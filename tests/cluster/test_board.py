"""The driver's display: bars and remaining time on a terminal, lines elsewhere, and an early report."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from semiseg.cluster import board as boards
from semiseg.cluster import estimate
from semiseg.cluster.early_report import EarlyReport
from semiseg.cluster.picture import picture
from semiseg.cluster.run_states import State, Watch
from semiseg.cluster.time_left import TimeLeft
from semiseg.params.schema import Params
from semiseg.study.study import Study
from tests import tiny


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return Study(Params.model_validate(tiny.params({"supervised": {"at": [4]}}, seeds=[0, 1, 2, 3, 4])))


def write(path: Path, **content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def finish(study: Study, number: int, seconds: float = 60.0) -> None:
    run = study.plan.runs[number]
    (run.path / "lease.json").unlink(missing_ok=True)
    write(run.path / "record.json", state="done", wall_seconds=seconds, spec_sha256=study.specs.sha256(run))
    write(run.path / "spec.json", sha256=study.specs.sha256(run), spec={})


def begin(study: Study, number: int, iteration: int = 30, pace: float = 2.0) -> None:
    lease = {"iteration": iteration, "iterations": 60, "seconds_per_iteration": pace, "loss": 0.5, "miou": 41.26}
    write(study.plan.runs[number].path / "lease.json", heartbeat=time.time(), node="n1", **lease)


def drawn(states: list[State], seconds: float | None = None, **options) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(picture("tiny", states, seconds, **options))
    return out.getvalue()


def test_the_picture_has_a_bar_for_each_training_and_what_failed():
    states = [
        State("tiny/a/supervised/default/seed0", "supervised", "finished"),
        State("tiny/a/fixmatch/default/seed0", "fixmatch", "running", 30, 60, 2.0, 0.5, 41.26, "n1"),
        State("tiny/a/scl/default/seed0", "scl", "failed", 7, note="the loss became NaN"),
        State("tiny/a/rc2l/default/seed0", "rc2l", "waiting"),
    ]
    text = drawn(states, 100.0, below=["Assembling the tables"])
    assert "4 runs, 1 finished, 1 running, 1 waiting, 1 failed, about 1 min 40 s left" in text
    [line] = [line for line in text.splitlines() if "fixmatch" in line]
    for part in ("a fixmatch default seed0", "━", "30/60", "1 min 00 s", "loss 0.500", "mIoU 41.3", "n1"):
        assert part in line
    assert "a scl default seed0 failed at iteration 7: the loss became NaN" in text
    assert "Assembling the tables" in text


def test_a_hundred_trainings_leave_room_on_a_small_screen():
    states = [State(f"tiny/a/m/default/seed{seed}", "m", "running", 1, 9, 1.0) for seed in range(100)]
    text = drawn(states, rows=20)
    assert len(text.splitlines()) <= 20 and "and 84 more" in text


def test_time_left_goes_by_measured_pace_and_by_how_many_run_at_once(study):
    left = TimeLeft(study)
    assert left.seconds(Watch(study).look()) is None, "nothing has shown its pace"
    finish(study, 0, 60.0)
    begin(study, 1)
    begin(study, 2)
    # Two half trainings of a minute each, and two that wait and take as long as the first, side by side.
    assert left.seconds(Watch(study).look()) == pytest.approx((60 + 60 + 2 * per_run(study)) / 2, rel=0.01)
    for number in range(1, 5):
        finish(study, number)
    assert left.seconds(Watch(study).look()) == 0


def per_run(study: Study) -> float:
    """The median of measured times: one run took 60 s, two took 120 s."""
    assert len({estimate.run_seconds(run.config) for run in study.plan.runs}) == 1
    return 120.0


def test_lines_where_there_is_no_terminal(study, monkeypatch):
    out = io.StringIO()
    boards.use(study)
    board = boards.Board(out)
    board.begin()
    run = study.plan.runs[0]
    board.announce(1, "split", "Choosing the labelled images", None)
    board.finished(1)
    board.announce(2, "train_short", "Training", str(run.path))
    finish(study, 0)
    scores = {"reported_network": "student", "networks": {"student": {"last": {"miou": 55.55}}}}
    write(run.path / "eval.json", **scores)
    board.finished(2)
    Path("one.log").write_text("\n".join(f"line {number}" for number in range(9)))
    board.failed(None, "Training another", ["one.log"])
    board.close()
    board.close()
    lines = [line.partition(" ")[2] for line in out.getvalue().splitlines()]
    assert lines[:3] == [
        "tiny: 5 runs, 5 waiting",
        "done: Choosing the labelled images",
        "trained stratified-0-4 supervised default seed0: mIoU 55.5; 1 of 5 runs, about 4 min 00 s left",
    ]
    assert "failed: Training another" in lines[3] and "line 8" in out.getvalue() and "line 4" not in out.getvalue()
    assert lines[-1] == "tiny: 5 runs, 1 finished, 4 waiting" and out.getvalue().count("1 finished") == 1


def test_a_line_names_each_early_report(study):
    report, out = EarlyReport(study), io.StringIO()
    boards.use(study, report)
    board = boards.Board(out)
    for number, made in enumerate((0, 1, 1, 2)):
        report.made, report.shows = made, 3 * made
        board.announce(number, "split", "Choosing the labelled images", None)
        board.finished(number)
    named = [line.partition(" ")[2] for line in out.getvalue().splitlines() if "early" in line]
    assert named == [f"early report of {shown} runs: {report.page}" for shown in (3, 6)]


class Slow(EarlyReport):
    """Reports that take ten seconds on a simulated clock."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self.now, self.begins = 0.0, []

    def _begin(self) -> None:
        self.begins.append((self.now, self.shows))
        self.process = Process(self)

    def after(self, seconds: float, finished: int, waiting: int) -> bool:
        self.now += seconds
        states = [State("", "", state) for state in ["finished"] * finished + ["waiting"] * waiting]
        return self.look(states, lambda: self.now)


class Process:
    def __init__(self, report: Slow) -> None:
        self.report, self.end, self.returncode = report, report.now + 10, None

    def poll(self) -> int | None:
        self.returncode = 0 if self.report.now >= self.end else self.returncode
        return self.returncode

    def terminate(self) -> None:
        self.returncode = -15

    def wait(self) -> None:
        assert self.returncode is not None


def test_a_report_after_three_trainings_and_again_when_it_is_worth_it(study):
    report = Slow(study)
    report.after(0, 2, 9)  # two were finished before this driver began
    report.after(5, 4, 7)
    assert report.begins == []
    report.after(5, 5, 6)
    assert report.begins == [(10, 5)]
    report.after(5, 6, 5)  # the first is still being made
    report.after(5, 6, 5)
    assert report.made == 1 and len(report.begins) == 1
    report.after(30, 7, 4)  # too early: a report took ten seconds, and rests for sixty
    assert len(report.begins) == 1
    report.after(31, 7, 4)
    assert report.begins[1:] == [(81, 7)]
    running = report.process
    assert report.after(1, 11, 0), "nothing is left: the final report is a job"
    assert running.returncode == -15


def test_the_early_report_is_a_command_that_exists(study, tmp_path):
    report = EarlyReport(study)
    assert report.command[0] == sys.executable and report.command[2:5] == ["semiseg", "report", "early"]
    from semiseg.commands.report import PARTS

    assert "early" in PARTS
