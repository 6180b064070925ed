"""The command without disturbances: jobs get the planned resources, and results equal those of one machine."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
import yaml

from semiseg.cluster import check
from tests.slurm.workspace import LONG, WHOLE, WITH_GPU, of_runs

CLASSES = "masks: index\nclasses: [{name: background}, {name: square}, {name: stripe}]\nignore: [255]\n"


def jobs() -> list[dict[str, str]]:
    """All jobs that Slurm remembers, newest first."""
    shown = ask("scontrol", "-o", "show", "jobs").splitlines()
    found = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in shown]
    return sorted(found, key=lambda job: -int(job["JobId"]))


def as_planned(here) -> list[dict[str, str]]:
    """The jobs of this folder, one for each training; checks that each requested the planned resources."""
    sent = [job for job in jobs() if job["WorkDir"] == str(here.folder)]
    asked = {job["Comment"].partition("_wildcards_")[2]: job for job in sent}
    planned = here.planned()
    assert len(sent) == len(asked) and set(asked) == set(planned)
    for name, one in planned.items():
        job = asked[name]
        assert megabytes(job) == one.memory_mib
        assert check.minutes(job["TimeLimit"]) == one.minutes
        assert int(job["NumCPUs"]) == one.cpus
        assert cards(job) == one.gpus
    return sent


def megabytes(job: dict[str, str]) -> int:
    """Of `MinMemoryNode=1200M`, or 2G where that is the same."""
    number, unit = float(job["MinMemoryNode"][:-1]), job["MinMemoryNode"][-1]
    return round(number * {"M": 1, "G": 1024}[unit])


def cards(job: dict[str, str]) -> int:
    """GPUs as they were asked for, of `gres:gpu:fake:1`: TRES leaves them out where Slurm keeps no books of GPUs."""
    return int(job.get("TresPerJob", "0").rpartition(":")[2])


def occupy(node: str, *what: str) -> str:
    """A job of another user that takes this much of a node."""
    asked = ["-w", node, *what, "-t", "20", "-o", "/dev/null", "--wrap", "sleep 1200"]
    number = ask("sbatch", "--parsable", *asked).strip()
    while ask("squeue", "-h", "-j", number, "-o", "%T") != "RUNNING\n":
        time.sleep(0.2)
    return number


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_training_is_a_job_and_the_tables_are_those_of_one_machine(cluster, workspace, reference):
    here = workspace(**LONG)
    assert here.run("all") == 0, here.log
    assert here.results() == reference
    sent = as_planned(here)
    assert len({job["NodeList"] for job in sent}) > 1
    assert {job["Partition"] for job in sent} == {"main"}
    assert {job["NumCPUs"] for job in sent} == {"1"}
    assert {cards(job) for job in sent} == {0}, "a recipe for the CPU asks for no GPU"
    before = len(here.diary)
    assert here.run("all") == 0
    assert len(here.diary) == before


def test_short_trainings_travel_together(cluster, workspace, reference):
    here = workspace()
    full = [occupy(node, "--exclusive") for node in cluster.names]
    snakemake = here.start()
    here.until(lambda: jobs()[0]["JobId"] not in full, "the group is sent")
    assert "tiny: 3 runs, 3 queued" in here.command("semiseg", "status").stdout
    subprocess.run(["scancel", *full], check=True)
    assert here.wait(snakemake) == 0, here.log
    assert here.results() == reference
    assert "tiny: 3 runs, 3 finished" in here.command("semiseg", "status").stdout
    assert len({job for _, _, job, *_ in here.diary}) == 1
    [job] = jobs()[:1]
    assert job["NumCPUs"] == "1", "the members take turns"
    assert job["TimeLimit"] == "00:15:00", "three times five minutes"
    assert megabytes(job) == max(one.memory_mib for one in here.planned().values())


def test_trainings_on_gpus_see_their_own_device(cluster, workspace, undisturbed):
    """GPUs that exist only in Slurm's configuration; trainings use the CPU."""
    suite = {"recipe": WITH_GPU, "methods": {"supervised": {}}, "seeds": [0, 1]}
    here = workspace(**LONG, **suite)
    here.environment["SEMISEG_SLURM_GPU_MODEL"] = "fake"
    assert here.run() == 0, here.log
    assert here.results() == undisturbed(**suite)
    seen = {(node, devices) for *_, node, devices in here.diary}
    assert len(seen) == 2 and all(devices in ("0", "1") for _, devices in seen)
    for job in as_planned(here):
        assert job["TresPerJob"] == "gres:gpu:fake:1"


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_training_on_two_gpus_is_two_processes_and_one_result(cluster, workspace):
    recipe = {**WITH_GPU, "gpus": 2, "batch": {"labelled": 4, "unlabelled": 4}}
    here = workspace(**LONG, recipe=recipe, methods={"supervised": {}})
    neighbours = [occupy(node, "--gpus=1", "--mem=100") for node in cluster.names]
    snakemake = here.start("evaluate_all")
    here.until(lambda: jobs()[0]["JobId"] not in neighbours, "the training is sent")
    # One free device on each of three nodes is not two on one.
    here.until(lambda: (jobs()[0]["JobState"], jobs()[0]["Reason"]) == ("PENDING", "Resources"), "Slurm has looked")
    subprocess.run(["scancel", neighbours[1]], check=True)
    assert here.wait(snakemake) == 0, here.log
    [job] = jobs()[:1]
    assert cards(job) == 2 and job["NodeList"] == cluster.names[1]
    assert sorted(here.steps()) == sorted(WHOLE * 2)
    assert {devices for *_, devices in here.diary} == {"0,1"}
    assert len(here.runs) == 1


def test_the_cluster_is_described_as_it_is(cluster, workspace):
    """`semiseg cluster check`, and the site file that it writes."""
    here = workspace()
    found = here.command("semiseg", "cluster", "check", "--write")
    assert found.returncode == 0, found.stderr
    said = found.stdout
    rows = {line.split()[0]: " ".join(line.split()) for line in said.splitlines() if " MiB " in line}
    nodes = cluster.nodes
    assert rows["main"] == f"main (default) {nodes} 4 16000 MiB 2 fake 1440 min"
    assert rows["brief"] == f"brief {nodes} 4 16000 MiB 2 fake 1 min"
    # Slurm's books give root an account of that name beside the one that was opened.
    [accounts] = [line for line in said.splitlines() if line.startswith("accounts: ")]
    assert "research" in accounts if cluster.accounting else accounts == "accounts: none listed"
    keeper = "slurmdbd" if cluster.accounting else "nobody"
    assert f"accounting is kept by {keeper}; a finished job is remembered for 600 s (MinJobAge)" in said
    assert ("there is no accounting here" in said) != cluster.accounting
    expected = {"partition": "main", "max_minutes": 1440, "max_memory_mib": 16000, "gpu_model": "fake"}
    written = yaml.safe_load((here.folder / "slurm/site.yaml").read_text())
    assert written.pop("account", "research") == "research"
    assert written == expected
    again = here.command("semiseg", "cluster", "check", "--write")
    assert again.returncode == 2 and "slurm/site.yaml exists" in again.stderr


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_long_trainings_travel_as_an_array_where_the_site_says_so(cluster, workspace, reference):
    here = workspace(**LONG)
    here.environment["SEMISEG_SLURM_ARRAYS"] = "true"
    assert here.run("train_all") == 0, here.log
    assert here.results() == of_runs(reference, "supervised", "fixmatch", "mean_teacher")
    sent = [job for job in jobs() if job["WorkDir"] == str(here.folder)]
    assert len(sent) == 3 and len({job["ArrayJobId"] for job in sent}) == 1


@pytest.mark.parametrize("mode", ["accounting"], indirect=True)
def test_a_data_set_that_is_not_made_on_the_spot_is_decoded_in_a_job(cluster, workspace, data):
    here = workspace(**LONG)
    own = here.folder / "own"
    (here.folder / "data").unlink()
    for subset, kept in (("images", "JPEGImages"), ("masks", "SegmentationClass")):
        shutil.copytree(data / "tiny/raw" / kept, own / subset)
    (own / "classes.yaml").write_text(CLASSES)
    params = yaml.safe_load((here.folder / "params.yaml").read_text())
    params["datasets"]["tiny"] = {"kind": "folder", "data_root": str(own), "test_share": 0.2}
    (here.folder / "params.yaml").write_text(yaml.safe_dump(params))
    assert here.run("data_all") == 0, here.log
    assert (here.folder / "data/tiny/manifest.json").exists()
    [sent] = [job for job in jobs() if job["WorkDir"] == str(here.folder)]
    assert sent["Comment"].startswith("rule_data")
