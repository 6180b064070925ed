"""The tool behind docs/scaling.md measures a real dry run."""

from __future__ import annotations

import pytest

from tests.workflow import measure_driver


def test_it_counts_jobs_time_and_memory():
    row = measure_driver.measured(runs=5, times=1)
    assert row["jobs"] == 12  # data, split, five trainings, their scores, tables, plots, report, all
    assert row["median_ms"] > 0
    assert 50 < row["peak_mib"] < 400


@pytest.mark.slow
def test_a_thousand_new_runs_are_planned_in_seconds():
    row = measure_driver.measured(runs=1000, times=1)
    assert row["jobs"] > 1000
    assert row["median_ms"] < 16_000, "CPU time; 6 to 11 s were measured"


@pytest.mark.slow
def test_finished_runs_leave_nothing_to_do():
    row = measure_driver.measured_finished(runs=5, times=1)
    assert row["what"] == "snakemake, no-op" and row["median_ms"] > 0
