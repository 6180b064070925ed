from __future__ import annotations

import csv
import json
import time

import pytest

from semiseg.bench import timing


def test_functions_take_turns_and_cpu_time_is_what_counts(monkeypatch):
    monkeypatch.setattr(timing, "TURN", 0)
    calls = []

    def work():
        calls.append("work")
        sum(range(200_000))

    def sleep():
        calls.append("sleep")
        time.sleep(0.01)

    working, sleeping = timing.alternate((work, sleep), seconds=0, least=6)
    assert calls[2:] == ["work", "sleep"] * 6
    assert len(working) == len(sleeping) == 6
    assert min(working) > max(sleeping)


def test_a_row_states_n_median_and_quartiles_per_item():
    line = timing.row("case", "what", [0.002, 0.004, 0.006, 0.008, 0.010], items=2, extra="x")
    assert line["n"] == 5 and line["median_ms"] == 3 and line["extra"] == "x"
    assert line["quartile_low_ms"] == 1.5 and line["quartile_high_ms"] == 4.5


def test_result_table_and_csv_name_hardware_and_versions(tmp_path):
    rows = [timing.row("a", "x", [0.1, 0.2], 1, times_as_fast=3.0), timing.row("b", "y", [0.1], 1)]
    outcome = json.loads(json.dumps(timing.result("loader", rows)))
    assert outcome["hardware"]["cpu"] and outcome["versions"]["torch"]
    shown = timing.table(outcome)
    assert outcome["hardware"]["cpu"] in shown and "times_as_fast" in shown
    path = timing.write_csv(outcome, tmp_path)
    assert path.name.startswith("loader-") and path.suffix == ".csv"
    lines = list(csv.DictReader(path.open()))
    assert [line["times_as_fast"] for line in lines] == ["3.0", ""]
    assert all(line["cpu"] == outcome["hardware"]["cpu"] for line in lines)
    assert float(lines[1]["median_ms"]) == pytest.approx(100)


def test_cases_measured_before_stay_in_the_file(tmp_path):
    first = timing.result("step", [timing.row("a", "x", [0.1], 1), timing.row("b", "x", [0.2], 1)])
    second = timing.result("step", [timing.row("b", "x", [0.3], 1, peak_mib=7)])
    assert timing.write_csv(first, tmp_path) == (path := timing.write_csv(second, tmp_path))
    lines = list(csv.DictReader(path.open()))
    found = [(line["case"], float(line["median_ms"]), line["peak_mib"]) for line in lines]
    assert found == [("a", pytest.approx(100), ""), ("b", pytest.approx(300), "7")]
