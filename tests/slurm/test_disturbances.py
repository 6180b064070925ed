"""Jobs and daemons that are taken away while trainings run.

A training pauses until what disturbs it has happened, so that no test depends on the speed of the machine.
"""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from tests.slurm.workspace import COMMA, LONG, WHOLE, of_runs


def no_controller_for_a_while(cluster):
    """Until a question to it has failed, as one by Snakemake has then: it asks every second."""
    cluster.stop("slurmctld")
    assert subprocess.run(["squeue"], capture_output=True).returncode, "it takes some 10 s to give up"
    time.sleep(3)
    cluster.start("slurmctld")


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_cancelled_requeued_and_lost_with_its_node(cluster, workspace, reference):
    here = workspace(**LONG)
    here.trouble(pause={"": 3})
    snakemake = here.start()
    subprocess.run(["scancel", here.until_training("supervised", 3)], check=True)
    subprocess.run(["scontrol", "requeue", here.until_training("fixmatch", 3)], check=True)
    here.until_training("mean_teacher", 3)
    cluster.stop(f"slurmd-{here.node_of('mean_teacher')}", signal.SIGKILL)
    # What is told to stop leaves a checkpoint; a node that is only unreachable finishes its training, and whoever
    # is sent to repeat it waits for the lease.
    here.until(lambda: "waiting: " in here.said("mean_teacher"), "another host waits for the one that is unreachable")
    here.trouble()
    assert here.wait(snakemake) == 0, here.log
    assert here.results() == reference
    assert here.steps("supervised") == here.steps("fixmatch") == here.steps("mean_teacher") == WHOLE
    assert here.record("supervised")["resumed"] == here.record("fixmatch")["resumed"] == 1


@pytest.mark.parametrize("requeue", ["true", "false"])
@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_jobs_of_a_partition_with_a_higher_priority_take_the_nodes(cluster, workspace, reference, requeue):
    """Preemption by policy: the training leaves a checkpoint in its grace time, and is sent again."""
    here = workspace(**LONG, methods={"supervised": {}})
    here.environment["SEMISEG_SLURM_REQUEUE"] = requeue
    here.trouble(pause={"": 3})
    snakemake = here.start("train_all")
    here.until_training(step=3)
    urgent = ["sbatch", "--parsable", "-p", "urgent", "--exclusive", "-w", here.node_of(""), "-t", "1"]
    subprocess.run([*urgent, "--wrap", "sleep 1"], check=True, cwd=here.folder)
    assert here.wait(snakemake) == 0, here.log
    assert here.results() == of_runs(reference, "supervised")
    assert here.steps() == WHOLE and here.record("supervised")["resumed"] == 1


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_preempted_job_that_slurm_kills_is_submitted_again(cluster, workspace, reference):
    """Without requeue: a training that does not react in its grace time continues from its last checkpoint."""
    here = workspace(**LONG, methods={"supervised": {}})
    here.environment["SEMISEG_SLURM_REQUEUE"] = "false"
    here.trouble(deaf={"": 6})
    snakemake = here.start("train_all")
    job = here.until_training(step=6)
    urgent = ["sbatch", "--parsable", "-p", "urgent", "--exclusive", "-w", here.node_of(""), "-t", "1"]
    subprocess.run([*urgent, "--wrap", "sleep 1"], check=True, cwd=here.folder)
    state = ["sacct", "-nX", "-j", job, "-o", "state%20"]
    here.until(lambda: here.command(*state).stdout.strip() == "PREEMPTED", "Slurm kills the job")
    here.trouble()
    assert here.wait(snakemake) == 0, here.log
    assert here.results() == of_runs(reference, "supervised")
    assert here.record("supervised")["resumed"] == 1 and here.steps()[-1] == WHOLE[-1]


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_node_is_lost_with_all_that_runs_on_it(cluster, workspace, reference):
    """Slurm starts the job elsewhere under its old number; on that host nobody can look for the dead process."""
    here = workspace(**LONG, methods={"mean_teacher": {"variants": [COMMA]}})
    here.environment["SEMISEG_TEST_SILENCE"] = "12"
    here.trouble(pause={"": 6})
    snakemake = here.start("train_all")
    here.until_training(step=6)
    cluster.lose(here.node_of(""))
    here.trouble()
    assert here.wait(snakemake) == 0, here.log
    assert here.results() == of_runs(reference, "mean_teacher")
    assert here.record("mean_teacher")["resumed"] == 1
    trained = [(job, node, step) for _, step, job, node, _ in here.diary]
    [(job, lost), (again, other)] = dict.fromkeys((job, node) for job, node, _ in trained)
    assert job == again and lost != other, "the same job, on another host"
    assert [step for _, node, step in trained if node == other] == WHOLE[4:], "it goes on from the last checkpoint"


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_limit_shorter_than_the_training(cluster, workspace, reference):
    here = workspace(**LONG, methods={"fixmatch": {}})
    # Slurm looks at limits twice a minute, so that its notice comes 10 to 40 s after the start and the steps last 48 s.
    # On a busy machine a sitting may be one step: many are planned.
    here.environment |= {"SEMISEG_SLURM_PARTITION": "brief", "SEMISEG_SLURM_MAX_MINUTES": "1"}
    here.environment |= {"SEMISEG_SLURM_TIME_FACTOR": "8"}
    here.trouble(slow={"": 4})
    assert here.run("train_all") == 0, here.log
    assert here.results() == of_runs(reference, "fixmatch")
    assert here.steps() == WHOLE, "it goes on where it was told to stop"
    assert here.record("fixmatch")["resumed"] >= 1


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_controller_and_accounting_away(cluster, workspace, reference):
    methods = ("supervised", "fixmatch")
    here = workspace(**LONG, methods=dict.fromkeys(methods, {}))
    here.trouble(pause={"": 1})
    snakemake = here.start("train_all")
    for name in methods:
        here.until_training(name, 1)
    cluster.stop("slurmdbd")
    no_controller_for_a_while(cluster)
    here.trouble()
    here.until(lambda: len(here.runs) == 2, "the trainings end while nobody keeps accounts")
    time.sleep(5)
    cluster.start("slurmdbd")
    assert here.wait(snakemake) == 0, here.log
    assert here.results() == of_runs(reference, *methods)
    assert all(here.steps(name) == WHOLE for name in methods)


@pytest.mark.parametrize("mode", ["plain"], indirect=True)
def test_controller_away_without_accounting(cluster, workspace, reference):
    """Snakemake may wait for ever; stopping it and typing the command again is the cure."""
    methods = ("supervised", "fixmatch")
    here = workspace(**LONG, methods=dict.fromkeys(methods, {}))
    here.trouble(pause={"": 1})
    snakemake = here.start("train_all")
    for name in methods:
        here.until_training(name, 1)
    no_controller_for_a_while(cluster)
    here.trouble()
    here.until(lambda: len(here.runs) == 2, "the trainings finish")
    time.sleep(5)
    if snakemake.poll() is None:
        snakemake.send_signal(signal.SIGINT)
    here.wait(snakemake)
    assert here.run("train_all") == 0, here.log
    assert of_runs(here.results(), *methods) == of_runs(reference, *methods)
    assert all(here.steps(name) == WHOLE for name in methods)
