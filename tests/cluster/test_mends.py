"""The fixes of Snakemake and its Slurm plugin, and that the installed plugin still needs them."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace

import pytest
import snakemake.api  # noqa: F401 - first, because snakemake's modules import each other
import snakemake_executor_plugin_slurm as plugin
from snakemake.dag import DAG
from snakemake.target_jobs import parse_target_jobs_cli_args
from snakemake_interface_executor_plugins.utils import TargetSpec, encode_target_jobs_cli_args

from semiseg.cluster import mends, queue
from semiseg.cluster.job_needs import Needs
from semiseg.study.study import Study
from tests import tiny


def job(name: str, **resources: int) -> SimpleNamespace:
    return SimpleNamespace(name=name, threads=1, resources=resources, rule=SimpleNamespace(name="train"), is_group=bool)


def test_every_job_is_sent_and_arrays_hold_jobs_that_ask_for_the_same(monkeypatch):
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(plugin, "pending_jobs_for_rule", plugin.pending_jobs_for_rule)
    monkeypatch.setattr(
        plugin.Executor, "_submit_array_jobs", lambda self, jobs: sent.append(tuple(one.name for one in jobs))
    )
    monkeypatch.setattr(plugin.Executor, "_submit_job", lambda self, one: sent.append((one.name,)))
    mends.mend_arrays()
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


RUN = {"dataset": "voc", "split": "cps-1_8", "method": "advsemiseg", "variant": "lr_d=2e-05,t_semi=0", "seed": "1"}


@pytest.mark.parametrize("variant", ["default", "lr_d=2e-05,t_semi=0", "head=mask", "a=1,b=2,c=on"])
@pytest.mark.parametrize("rule", ["train", "train_short"])
def test_what_snakemake_says_to_a_job_comes_back(monkeypatch, rule, variant):
    wanted = RUN | {"variant": variant}
    others = {"dataset": "voc", "x": "y"}
    said = encode_target_jobs_cli_args([TargetSpec(rule, wanted), TargetSpec("data", others)])
    assert queue.wildcards(said[0].partition(":")[2]) == wanted
    found = parse_target_jobs_cli_args(said)

    async def begin(self):
        return [job.wildcards_dict for job in self.workflow.dag_settings.target_jobs]

    monkeypatch.setattr(DAG, "init", begin)
    mends.mend_names()
    graph = SimpleNamespace(workflow=SimpleNamespace(dag_settings=SimpleNamespace(target_jobs=found)))
    assert asyncio.run(DAG.init(graph)) == [wanted, others]


def test_tuned_methods_share_no_job(tmp_path, monkeypatch):
    """Their tuned rows wait for their trials, which would be in the same group."""
    monkeypatch.chdir(tmp_path)
    tune = {"at": 4, "trials": 2, "methods": ["fixmatch"]}
    tiny.workspace(tmp_path / "tiny", tiny.params({"supervised": {}, "fixmatch": {"at": [4]}}, tune=tune))
    monkeypatch.chdir(tmp_path / "tiny")
    study = Study.load()
    needs = Needs(study.plan.runs, study.suite.runtime.model_dump(mode="json"))
    assert {run.method: needs[run.path].short for run in study.plan.runs} == {"supervised": True, "fixmatch": False}
