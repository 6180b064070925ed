"""The assumptions about the Slurm plugin hold for the installed version."""

from __future__ import annotations

import asyncio
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


def test_a_preempted_job_that_nobody_requeues_has_failed(monkeypatch):
    async def answer(command, logger):
        return ({"1": "PREEMPTED", "2": "RUNNING"} if command == "squeue" else None), 0.1

    monkeypatch.setattr(plugin, "query_job_status", answer)
    patience.fail_preempted_jobs()
    assert asyncio.run(plugin.query_job_status("squeue", None)) == ({"1": "FAILED", "2": "RUNNING"}, 0.1)
    assert asyncio.run(plugin.query_job_status("away", None)) == (None, 0.1)


def test_the_plugin_asks_for_states_under_that_name():
    assert "query_job_status" in plugin.Executor.check_active_jobs.__code__.co_names
