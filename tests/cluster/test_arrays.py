"""The fix of the plugin's job arrays, and that the installed plugin still needs it."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import snakemake_executor_plugin_slurm as plugin

from semiseg.cluster import arrays


def job(name: str, **resources: int) -> SimpleNamespace:
    return SimpleNamespace(name=name, threads=1, resources=resources, rule=SimpleNamespace(name="train"), is_group=bool)


def test_every_job_is_sent_and_arrays_hold_jobs_that_ask_for_the_same(monkeypatch):
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(plugin, "pending_jobs_for_rule", plugin.pending_jobs_for_rule)
    monkeypatch.setattr(
        plugin.Executor, "_submit_array_jobs", lambda self, jobs: sent.append(tuple(one.name for one in jobs))
    )
    monkeypatch.setattr(plugin.Executor, "_submit_job", lambda self, one: sent.append((one.name,)))
    arrays.mend()
    executor = object.__new__(plugin.Executor)
    ready = [SimpleNamespace(rule=SimpleNamespace(name="train"))] * 500
    executor.workflow = SimpleNamespace(dag=SimpleNamespace(ready_jobs=ready))
    executor.array_jobs, executor.max_array_size, executor._main_event_loop = {"train"}, 1000, object()
    executor.logger = SimpleNamespace(debug=lambda *_: None)
    executor.run_jobs([job("a", mem_mb=1), job("b", mem_mb=2), job("c", mem_mb=1)])
    executor.run_jobs([job("d", mem_mb=1)])
    assert sent == [("a", "c"), ("b",), ("d",)], "five hundred are ready, and nobody waits for them"


def test_the_plugin_still_has_what_is_mended():
    source = inspect.getsource(plugin.Executor.run_jobs)
    assert "pending_jobs_for_rule(dag" in source and "_submit_array_jobs" in source
