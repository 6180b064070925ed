from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from snakemake_interface_executor_plugins.utils import TargetSpec, encode_target_jobs_cli_args

from semiseg.cluster import queue, run_states
from semiseg.commands.status import _lines, picture
from semiseg.params.schema import Params
from semiseg.study.study import Study
from tests import cpu, tiny


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return Study(Params.model_validate(tiny.params({"supervised": {}, "fixmatch": {"at": [4]}}, seeds=[0, 1])))


def write(path: Path, **content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def states(study: Study, jobs: list[queue.Job] | None = None) -> dict[str, run_states.State]:
    return {one.run: one for one in run_states.of_runs(study, jobs)}


def test_a_run_through_its_life(study):
    run = study.plan.runs[0]
    wanted = study.runs[run.path].wanted()
    assert states(study)[run.name].state == "waiting"
    wildcards = run.name.replace("/", "_").replace("seed", "")
    job = queue.Job("7", "PENDING", "", "Priority", f"rule_train_wildcards_{wildcards}")
    assert states(study, [job])[run.name].state == "queued"
    lease = {"heartbeat": time.time(), "iteration": 10, "iterations": 30, "seconds_per_iteration": 3.0, "node": "n3"}
    write(run.path / "lease.json", **lease, slurm_job="7", miou=41.26)
    seen = states(study, [job])[run.name]
    assert (seen.state, seen.iteration, seen.left, seen.miou) == ("running", "10/30", "1 min 00 s", 41.26)
    assert seen.where == "n3 (job 7)"
    write(run.path / "lease.json", **{**lease, "heartbeat": time.time() - 600})
    assert states(study)[run.name].state == "silent" and "10 min" in states(study)[run.name].note
    (run.path / "lease.json").unlink()
    write(run.path / "record.json", state="interrupted", spec_sha256=wanted, iterations=12)
    assert states(study)[run.name].state == "interrupted"
    error = {"message": "the loss became NaN", "iteration": 13}
    write(run.path / "record.json", state="failed", spec_sha256=wanted, error=error)
    seen = states(study)[run.name]
    assert (seen.state, seen.iteration, seen.note) == ("failed", "13", "the loss became NaN")
    write(run.path / "spec.json", sha256=wanted, spec={})
    assert states(study)[run.name].state == "finished"
    write(run.path / "spec.json", sha256="another", spec={})
    assert states(study)[run.name].state == "waiting"


def test_students_of_a_failed_teacher_are_not_run(tmp_path, monkeypatch, capsys):
    """`semiseg status` lists both students as failed, including the one that needs the teacher only indirectly."""
    monkeypatch.chdir(tmp_path)
    study = Study(Params.model_validate(tiny.params({"st_plus_plus": {"at": [4]}})))
    teacher = next(run for run in study.plan.runs if run.method == "supervised")
    assert {one.state for one in states(study).values()} == {"waiting"}
    write(teacher.path / "record.json", state="failed", spec_sha256=study.specs.sha256(teacher), error={})
    seen = states(study)
    assert seen.pop(teacher.name).state == "failed"
    assert {(one.state, one.note) for one in seen.values()} == {("not run", "teacher failed")} and len(seen) == 2
    console = Console(file=io.StringIO(), width=200)
    console.print(picture(study))
    assert console.file.getvalue().count("teacher failed") == 2


def test_a_watch_reads_what_is_finished_once(study, monkeypatch):
    run = study.plan.runs[0]
    write(run.path / "spec.json", sha256=study.specs.sha256(run), spec={})
    watch, read = run_states.Watch(study), []
    assert watch.look()[0].state == "finished"
    monkeypatch.setattr(run_states, "peek_json", lambda path, key=None: read.append(path))
    assert watch.look()[0].state == "finished"
    assert read and not [path for path in read if run.path in path.parents]


GROUP = """#!/bin/sh
# This script was created by sbatch --wrap.

python -m snakemake --target-jobs {} --allowed-rules train_short --jobs 1 --mode 'remote'
"""


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A fake scontrol with the scripts of these jobs; it reads commands from its input, like the real one."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/scontrol"
    body = "while read write what job rest; do cat $(dirname $0)/$job 2>/dev/null || echo invalid >&2; done"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)

    def group(number: str, runs: list) -> None:
        keys = ("dataset", "split", "method", "variant", "seed")
        targets = encode_target_jobs_cli_args(
            [TargetSpec("train_short", {key: str(getattr(run, key)) for key in keys}) for run in runs]
        )
        (program.parent / number).write_text(GROUP.format(" ".join(f"'{one}'" for one in targets)))

    return group


def test_members_of_a_group_are_queued_until_it_is_their_turn(study, scontrol):
    """Slurm only has the name of a group; the job's script lists its trainings."""
    first, second, third, *others = study.plan.runs
    scontrol("7", [first, replace(first, variant="a=1,b=2")])
    assert queue.trainings([queue.Job("7", "PENDING", "", "Priority", "rule_short")], True) >= {
        f"{first.dataset}_{first.split}_{first.method}_a=1,b=2_{first.seed}"
    }
    scontrol("8", [second, third])
    pending = queue.Job("7", "PENDING", "", "Priority", "rule_short")
    running = queue.Job("8", "RUNNING", "n1", "None", "rule_short")
    gone = queue.Job("9", "PENDING", "", "Priority", "rule_short")
    write(second.path / "lease.json", heartbeat=time.time())
    seen = states(study, [pending, running, gone])
    assert [seen[run.name].state for run in (first, second, third)] == ["queued", "running", "queued"]
    assert "take turns" in seen[third.name].note
    assert {seen[run.name].state for run in others} == {"waiting"}
    wanted = study.runs[third.path].wanted()
    write(third.path / "record.json", state="failed", spec_sha256=wanted, error={"message": "NaN"})
    assert states(study, [running])[third.name].state == "failed", "it had its turn"


def test_a_failure_of_another_configuration_is_no_failure(study):
    run = study.plan.runs[0]
    write(run.path / "record.json", state="failed", spec_sha256="another", error={"message": "old"})
    assert states(study)[run.name].state == "waiting"


def test_half_written_files_are_passed_over(study):
    run = study.plan.runs[0]
    run.path.mkdir(parents=True)
    (run.path / "lease.json").write_text('{"heartbeat": 12')
    assert states(study)[run.name].state == "waiting"


def test_summary_counts_every_run_once(study):
    write(study.plan.runs[0].path / "lease.json", heartbeat=time.time())
    assert run_states.summary(run_states.of_runs(study, None)) == "6 runs, 1 running, 5 waiting"


def test_jobs_of_other_folders_are_not_ours(tmp_path, monkeypatch):
    answer = f"12|PENDING||Resources|{tmp_path}|rule_train_wildcards_a|b\n13|RUNNING|n1|None|/elsewhere|rule\n"
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\ncat <<'X'\n{answer}X\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert queue.jobs(tmp_path) == [queue.Job("12", "PENDING", "", "Resources", "rule_train_wildcards_a|b")]
    squeue.write_text("#!/bin/sh\nexit 1\n")
    assert queue.jobs(tmp_path) is None


def test_a_thousand_runs_in_two_seconds(tmp_path, monkeypatch):
    """The whole command including imports, in CPU seconds of the child, which do not depend on other load."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    content = tiny.params({"supervised": {}, "fixmatch": {"at": [4]}}, seeds=list(range(334)))
    Path("params.yaml").write_text(yaml.safe_dump(content))
    study = Study.load()
    assert len(study.plan.runs) >= 1000
    for run in study.plan.runs[::2]:
        write(run.path / "lease.json", heartbeat=time.time(), iteration=3, iterations=9, seconds_per_iteration=1.0)
    for run in study.plan.runs[1::2]:
        wanted = study.runs[run.path].wanted()
        write(run.path / "record.json", state="failed", spec_sha256=wanted, error={"message": "NaN"})

    def seconds() -> float:
        before = cpu.of_children()
        done = subprocess.run([sys.executable, "-m", "semiseg", "status"], capture_output=True, text=True, check=True)
        assert done.stdout.count("NaN") == done.stdout.count("3/9") == 501
        return cpu.of_children() - before

    assert min(seconds() for _ in range(3)) < 2, "the first may have had modules to compile"


def test_lines_stand_in_columns_and_long_notes_are_not_cut():
    long = "an error " * 30
    seen = [run_states.State("tiny/a", "a", "failed", 7, where="n1", note=long)]
    seen.append(run_states.State("tiny/longer", "a", "running", 10, 12, 0.5, None, 41.3, "n2 (job 7)"))
    out = io.StringIO()
    Console(file=out, width=160).print(_lines(seen))
    head, first, *folded, second = out.getvalue().splitlines()
    assert [head.index("state"), first.index("failed"), second.index("running")] == [13, 13, 13]
    assert first.index("7") + 1 == second.index("10/12") + 5 == head.index("iteration") + 9, "numbers to the right"
    assert " ".join(" ".join([first, *folded]).split()).count("an error") == 30
