"""`bench gpu` without a GPU: parts and clock are replaced, all other code is real."""

from __future__ import annotations

import csv
import json
import os
import time

import pytest
import torch

from semiseg.base.errors import UserError
from semiseg.bench import gpu_parts, gpu_session
from semiseg.bench.gpu_session import Outcome, Part, Sitting
from semiseg.cli import main

CARD = {
    "gpu": "Made Card 9000", "memory_gib": 80.0, "capability": "9.0", "driver": "1", "torch": "2", "cuda": "13",
    "cudnn": 9, "python": "3.11", "cpu": "some", "cores": 4, "commit": "abcdef0123456", "changed": False,
}  # fmt: skip
STEP = {"method": "supervised", "crop": 321, "what": "eager", "median_ms": 12.5}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Machine:
    """Replaces the child processes: a part advances the clock by its seconds, and fails if the test says so."""

    def __init__(self, clock, fails=()):
        self.clock, self.fails, self.measured = clock, set(fails), []

    def part(self, name, group="step", seconds=60, rows=(STEP,)):
        return Part(name, group, f"words of {name}", seconds, lambda images: self._measure(name, seconds, rows))

    def _measure(self, name, seconds, rows):
        self.measured.append(name)
        self.clock.now += seconds
        return list(rows)

    def child(self, measure, seconds):
        rows = measure()
        return Outcome([], "it does not fit") if self.measured[-1] in self.fails else Outcome(rows)


@pytest.fixture
def machine():
    return Machine(Clock())


def sit(machine, parts, tmp_path, minutes=9, card=CARD, again=False, chosen=None):
    said = []
    end = machine.clock() + 60 * minutes
    sitting = Sitting(tmp_path, card, parts, end, said.append, machine.child, machine.clock)
    left = sitting.run(tmp_path, chosen or [part.name for part in parts], again)
    return left, said, sitting.folder


def test_a_sitting_writes_json_csv_and_a_page(machine, tmp_path):
    evaluated = {"case": "375x500", "median_ms": 3.25, "precision": "bf16", "n": 7}
    parts = [machine.part("a"), machine.part("b", "evaluation", rows=[evaluated]), machine.part("c", rows=[STEP] * 2)]
    left, said, folder = sit(machine, parts, tmp_path)
    assert not left and folder.name == "made-card-9000" and machine.measured == ["a", "b", "c"]
    assert "a: words of a" in said and "c: 2 rows (60 s)" in said
    part = json.loads((folder / "parts/b.json").read_text())
    assert part["rows"] == [evaluated] and part["card"] == CARD and part["seconds"] == 60
    assert len(list(csv.DictReader((folder / "step.csv").open()))) == 3
    page = (folder / "README.md").read_text()
    assert page.startswith("# Made Card 9000\n") and "commit abcdef0123" in page and "80.0 GiB" in page
    assert "## Training steps, eager" in page and "| supervised | 321 | eager | 12.5 |" in page
    assert "| 375x500 | 7 | 3.25 | bf16 |" in page
    assert "Not measured" not in page and "## Determinism" not in page, "no table without a figure"


def test_what_does_not_fit_into_the_time_is_said_and_measured_by_the_next_sitting(machine, tmp_path):
    parts = [machine.part("a", seconds=100), machine.part("long", seconds=90), machine.part("short", seconds=15)]
    left, said, folder = sit(machine, parts, tmp_path, minutes=2)
    assert left == ["long"] and machine.measured == ["a", "short"]
    assert "long: skipped, it takes about 90 s and 20 s are left" in said
    assert "- long: not measured yet" in (folder / "README.md").read_text()
    assert sit(machine, parts, tmp_path, minutes=2)[0] == [] and machine.measured == ["a", "short", "long"]
    assert "Not measured" not in (folder / "README.md").read_text()
    sit(machine, parts, tmp_path)
    assert machine.measured == ["a", "short", "long"], "nothing is measured twice"


def test_the_page_has_what_was_measured_before_a_sitting_was_stopped(machine, tmp_path):
    def stopped(images):
        raise KeyboardInterrupt

    parts = [machine.part("a"), Part("b", "step", "words", 1, stopped)]
    with pytest.raises(KeyboardInterrupt):
        sit(machine, parts, tmp_path)
    page = (tmp_path / "made-card-9000/README.md").read_text()
    assert "| supervised | 321 |" in page and "- b: not measured yet" in page


def test_a_part_that_failed_is_named_and_tried_again_after_the_others(machine, tmp_path):
    parts = [machine.part("bad"), machine.part("good"), machine.part("late", seconds=500)]
    machine.fails = {"bad"}
    left, said, folder = sit(machine, parts, tmp_path)
    assert left == ["late"] and "bad: it does not fit (60 s)" in said
    assert "- bad: it does not fit" in (folder / "README.md").read_text()
    machine.fails, machine.measured = set(), []
    sit(machine, parts, tmp_path, minutes=20)
    assert machine.measured == ["late", "bad"]
    assert "Not measured" not in (folder / "README.md").read_text()


def test_other_libraries_or_a_wish_measure_again(machine, tmp_path):
    parts = [machine.part("a"), machine.part("b")]
    sit(machine, parts, tmp_path)
    sit(machine, parts, tmp_path, card=CARD | {"commit": "0" * 40})
    assert machine.measured == ["a", "b"], "the code of other parts of the project changes no figure"
    sit(machine, parts, tmp_path, again=True, chosen=["b"])
    assert machine.measured == ["a", "b", "b"]
    _, _, folder = sit(machine, parts, tmp_path, card=CARD | {"torch": "3"}, chosen=["a"])
    assert machine.measured == ["a", "b", "b", "a"]
    page = (folder / "README.md").read_text()
    assert "torch 3" in page and "- b: not measured yet" in page, "figures of two libraries never share a page"


def test_a_child_returns_rows_or_a_sentence():
    assert gpu_session.in_child(lambda: [{"x": 1}], 20) == Outcome([{"x": 1}])

    def fails(error):
        def measure():
            raise error

        return gpu_session.in_child(measure, 20).failed

    assert fails(ValueError("first\nsecond")) == "ValueError: first"
    assert fails(UserError("a sentence")) == "a sentence"
    assert fails(torch.OutOfMemoryError("CUDA out of memory")) == "it does not fit into the card's memory"
    assert gpu_session.in_child(lambda: os._exit(3), 20).failed == "its process ended with status 3"


def test_a_child_that_hangs_is_stopped_with_its_helpers(tmp_path):
    def hangs():
        helper = os.fork()
        if helper == 0:
            time.sleep(60)
        (tmp_path / "pid").write_text(str(helper))
        time.sleep(60)

    assert gpu_session.in_child(hangs, 0.5).failed == "not finished within 0 s"
    helper = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if _state(helper) in (None, "Z"):
            break
        time.sleep(0.05)
    assert _state(helper) in (None, "Z")


def _state(pid):
    import psutil

    return {psutil.STATUS_ZOMBIE: "Z"}.get(psutil.Process(pid).status(), "alive") if psutil.pid_exists(pid) else None


def test_without_a_gpu_there_is_one_sentence(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "gpu", "--out", str(tmp_path)])
    printed = capsys.readouterr()
    assert stopped.value.code == 2 and printed.err.count("\n") == 1 and "no GPU here" in printed.err
    assert not list(tmp_path.iterdir())


def test_the_command_measures_the_parts_that_are_named(capsys, monkeypatch, tmp_path, machine):
    parts = [machine.part("step-a", seconds=1), machine.part("step-b", seconds=1), machine.part("other", seconds=1)]
    monkeypatch.setattr(gpu_parts, "parts", lambda: parts)
    monkeypatch.setattr(gpu_parts, "card", lambda: [CARD])
    main(["bench", "gpu", "--out", str(tmp_path), "--only", "step-*"])
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path}/made-card-9000/README.md\n"
    assert sorted(path.stem for path in (tmp_path / "made-card-9000/parts").iterdir()) == ["step-a", "step-b"]
    main(["bench", "gpu", "--out", str(tmp_path), "--minutes", "0"])
    assert "1 parts are left; repeat the command to continue with them" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "gpu", "--out", str(tmp_path), "--only", "nothing"])
    assert stopped.value.code == 2 and "the parts are step-a, step-b, other" in capsys.readouterr().err
