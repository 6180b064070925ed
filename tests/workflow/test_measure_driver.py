"""The tool behind docs/scaling.md measures a real dry run."""

from __future__ import annotations

from tests.workflow import measure_driver


def test_it_counts_jobs_time_and_memory():
    row = measure_driver.measured(runs=5, times=1)
    assert row["jobs"] == 12  # data, split, five trainings, their scores, tables, plots, report, all
    assert row["median_ms"] > 500
    assert 50 < row["peak_mib"] < 400
