"""The assumptions about the Slurm plugin hold for the installed version."""

from __future__ import annotations

import math

import snakemake_executor_plugin_slurm as plugin

from semiseg.cluster import patience


def test_min_job_age_is_remembered_while_the_controller_is_away(monkeypatch):
    answers = iter([None, 300, None, 600])
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: next(answers))
    patience.remember_min_job_age()
    assert [plugin.get_min_job_age() for _ in range(4)] == [math.inf, 300, 300, 300]


def test_the_plugin_asks_under_that_name():
    assert "get_min_job_age" in plugin.Executor.check_active_jobs.__code__.co_names
