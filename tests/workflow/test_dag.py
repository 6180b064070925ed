"""Snakemake rebuilds results because of content, never because of times or metadata."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from tests import tiny
from tests.workflow.conftest import ENVIRONMENT, workspace

METHODS = {"supervised": {}, "advsemiseg": {"at": [4], "variants": ["adv_semi"], "options": {"width_d": 4}}}
ABLATION = {"threshold": {"method": "advsemiseg", "at": 4, "vary": {"t_semi": [0.2, 0.5]}}}

UNKNOWN_WEIGHTS = {
    "architecture": "deeplab_v3plus", "encoder": "tu-mobilenetv2_100", "encoder_weights": "nowhere.safetensors",
    "encoder_weights_sha256": 64 * "0",
}  # fmt: skip


@pytest.fixture
def content():
    return tiny.params(METHODS, ablations=ABLATION, recipe={"iterations": 8})


def test_a_study_from_nothing_and_what_is_made_again(study, content):
    """One workspace with several changes in sequence, because building it is expensive."""
    work = study(content)
    first = work.snakemake()
    assert first.code == 0, first.text
    assert first.jobs("train") == 4
    assert (work.folder / "report/index.html").exists()
    tables, trained = work.tables(), work.trained()

    again = work.snakemake()
    assert again.code == 0, again.text
    assert "Nothing to be done" in again.text

    # An evaluation that was deleted is made again, with what depends on it and without training.
    [evaluation] = work.folder.glob("runs/tiny/full/supervised/default/seed0/eval.json")
    evaluation.unlink()
    rebuilt = work.snakemake()
    assert (rebuilt.code, rebuilt.jobs("train"), rebuilt.jobs("evaluate"), rebuilt.jobs("tables")) == (0, 0, 1, 1)
    assert work.tables() == tables
    assert work.trained() == trained

    # Comments and file times decide nothing.
    (work.root / "params.yaml").write_text("# a comment\n" + (work.root / "params.yaml").read_text())
    for path in [*work.root.glob("data/tiny/*.json"), *work.folder.glob("**/*.json")]:
        os.utime(path)
    assert "Nothing to be done" in work.snakemake().text

    # Without any hidden metadata a changed parameter is seen all the same, and only its run is trained.
    shutil.rmtree(work.root / ".snakemake")
    changed = work.params
    changed["suites"]["tiny"]["ablations"]["threshold"]["vary"]["t_semi"] = [0.2, 0.6]
    work.write(changed)
    retrained = work.snakemake()
    assert (retrained.code, retrained.jobs("train")) == (0, 1), retrained.text
    assert {path: made for path, made in work.trained().items() if path in trained} == trained

    # Back again: the old run is still there and still right.
    work.write(content)
    back = work.snakemake()
    assert (back.code, back.jobs("train")) == (0, 0)
    assert work.tables() == tables


def test_a_failing_run_leaves_its_state_in_the_tables(study, content):
    content["suites"]["tiny"]["methods"]["supervised"] = {"at": [4]}
    content["suites"]["tiny"]["methods"]["advsemiseg"]["options"]["lr_d"] = 1e30  # the discriminator explodes
    content["suites"]["tiny"]["ablations"] = {}
    work = study(content, prepared=True)
    outcome = work.snakemake("all", "--retries", "0")
    assert outcome.code != 0
    states = {line.split(",")[8]: line for line in (work.folder / "tables/comparison.csv").read_text().splitlines()}
    assert "failed" in states["advsemiseg"]
    assert "done" in states["supervised"]
    log = next(work.root.glob("logs/tiny/train/tiny/stratified-0-4/advsemiseg/**/*.log")).read_text()
    assert "became NaN or infinite at iteration" in log
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Two trainings that nothing has stopped, and their tables."""
    methods = {**METHODS, "supervised": {"at": [4]}}
    content = tiny.params(methods, splits={"partitions": [4]}, recipe={"iterations": 150})
    work = workspace(tmp_path_factory.mktemp("undisturbed") / "study", content, prepared=True)
    first = work.snakemake("tables")
    assert first.code == 0, first.text
    return work


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_killed_in_the_middle_it_goes_on(number, study, undisturbed):
    work = study(undisturbed.params, prepared=True)
    process = work.start("tables")
    while not list(work.folder.glob("runs/**/checkpoint.pt")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.kill()
    process.wait()
    resumed = work.snakemake("tables")
    assert resumed.code == 0, resumed.text
    if number == signal.SIGKILL:
        assert "removed the lock of process" in resumed.text
    assert work.tables() == undisturbed.tables()


def test_a_second_driver_is_told(study, content):
    content["suites"]["tiny"]["recipe"]["iterations"] = 1_000_000  # the first one is at work until it is stopped
    work = study(content)
    process = work.start()
    while not list((work.root / ".snakemake/locks").glob("*.lock")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGSTOP)  # it is at work all the same, and takes no time from the others
    second = work.snakemake()
    assert second.code == 2
    assert f"process {process.pid}" in second.text
    assert "Traceback" not in second.text

    # A look is let through, and must not change what the first one's jobs are told.
    told = {path: path.read_bytes() for path in (work.root / ".snakemake/requests").rglob("*.json")}
    assert told and work.snakemake("-n").code == 0
    content["suites"]["tiny"]["recipe"]["iterations"] = 9
    work.write(content)
    other = work.snakemake("-n")
    assert other.code == 2 and "with another configuration; `semiseg plan`" in other.text
    assert told == {path: path.read_bytes() for path in told}
    process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 300
    while process.poll() is None:  # an interrupt that comes while Snakemake starts may be lost in a callback
        assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda raw: raw["suites"]["tiny"]["recipe"].update(iteratons=3), "did you mean 'iterations'"),
        (
            lambda raw: raw["suites"]["tiny"]["recipe"].update(network=UNKNOWN_WEIGHTS),
            "network.encoder_weights: there is no file nowhere.safetensors; docs/datasets.md says how to get it",
        ),
    ],
)
def test_a_wrong_params_file_is_one_sentence(change, expected, study, content):
    change(content)
    work = study(content)
    outcome = work.snakemake()
    assert outcome.code == 2
    assert expected in outcome.text
    assert "Traceback" not in outcome.text
    assert not (work.root / "results").exists()


def test_broken_data_end_with_the_file_and_what_to_do(study, content):
    work = study(content)
    mask = work.root / "data/tiny/raw/SegmentationClass/train_000.png"
    mask.write_bytes(mask.read_bytes()[:40])
    outcome = work.snakemake()
    assert outcome.code != 0
    assert "train_000.png" in outcome.text
    assert "Traceback" not in outcome.text
    assert not (work.root / "data/tiny/store/index.json").exists()


def test_a_job_trains_the_variant_that_it_is_named_after(study):
    """Snakemake splits what it tells a job at every comma."""
    variants = ["default", {"confidence": 0.5, "cutmix_probability": 0.25}]
    work = study(tiny.params({"supervised": {}, "fixmatch": {"at": [4], "variants": variants}}))
    target = 'train_short:dataset=tiny,split=stratified-0-4,method=fixmatch,variant="{}",seed=0'
    planned = work.snakemake("-n", "--target-jobs", target.format("confidence=0.5,cutmix_probability=0.25"))
    assert "Training fixmatch (confidence=0.5,cutmix_probability=0.25) on stratified-0-4, seed 0" in planned.text
    wrong = work.snakemake("-n", "--target-jobs", target.format("confidence=0.5,cutmix_probability=0.2"))
    assert wrong.code and "is not a run of the suite" in wrong.text


def test_without_ablations_their_target_trains_nothing(study):
    planned = study(tiny.params({"supervised": {}})).snakemake("-n", "ablations_all")
    assert planned.code == 0 and "Training" not in planned.text, planned.text


def test_a_tuned_suite_has_a_plan_on_a_cluster(study):
    """Trials and the rows that wait for them must not be in one group of jobs."""
    tune = {"at": 4, "trials": 2, "methods": ["fixmatch"]}
    work = study(tiny.params({"supervised": {}, "fixmatch": {"at": [4]}}, tune=tune))
    command = ["snakemake", "--profile", "slurm", "-n", "all"]
    done = subprocess.run(command, cwd=work.root, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_run_that_the_suite_has_not_is_answered_with_the_nearest(study, content):
    work = study(content)
    outcome = work.snakemake("results/tiny/runs/tiny/stratified-0-4/supervised/defalt/seed0/spec.json")
    assert outcome.code != 0
    assert "is not a run of the suite tiny; did you mean" in outcome.text
    assert "KeyError" not in outcome.text
