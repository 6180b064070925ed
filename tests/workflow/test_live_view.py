"""The output of a driver: bars on a terminal, lines in a pipe, Snakemake's output on request."""

from __future__ import annotations

import os
import pty
import re
import subprocess

import pytest

from tests import tiny
from tests.workflow.conftest import ENVIRONMENT


@pytest.fixture
def work(study):
    return study(tiny.params({"supervised": {"at": [4]}, "fixmatch": {}}, splits={"partitions": [4]}))


def on_a_terminal(work, *arguments: str) -> tuple[int, str]:
    """The command's exit code, and what its terminal of 120 columns got."""
    ours, theirs = pty.openpty()
    environment = ENVIRONMENT | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    process = subprocess.Popen(
        ["snakemake", "--profile", "local", "--cores", "2", *arguments], cwd=work.root, env=environment,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # the other end is closed
        pass
    return process.wait(60), seen.decode()


def test_a_terminal_shows_one_picture_and_not_snakemakes_log(work):
    content = work.params  # trainings that outlast a heartbeat, which carries how far they are
    suite = content["suites"]["tiny"]
    suite["recipe"]["iterations"] = suite["evaluation"]["every"] = 800
    suite["runtime"] = {"log_every": 100, "checkpoint_every": 800}
    work.write(content)
    code, seen = on_a_terminal(work, "all")
    assert code == 0, seen
    words = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen)
    assert re.search(r"fixmatch default seed0 +━+.* \d+/800 ", words), "a bar, and how far it is"
    assert "tiny: 2 runs, 2 finished" in words
    assert "Select jobs" not in words and "Finished jobid" not in words
    assert "Finished jobid" in tiny.snakemake_log(work.root), "all of it is in the file"


def test_a_pipe_gets_a_line_for_what_ends_and_a_failure_with_its_log(work):
    content = work.params
    content["suites"]["tiny"]["methods"] = {"advsemiseg": {"options": {"lr_d": 1e30, "width_d": 4}}}
    work.write(content)
    done = subprocess.run(
        work.command("all", "--retries", "0"), cwd=work.root, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert re.search(r"^\d\d:\d\d:\d\d done: Choosing the labelled images", done.stderr, re.M)
    assert "failed: Training advsemiseg" in done.stderr and "became NaN or infinite at iteration" in done.stderr
    assert "Traceback" not in done.stderr and "Finished jobid" not in done.stderr


def test_a_dry_run_is_snakemakes_own(work):
    done = subprocess.run(work.command("-n", "all"), cwd=work.root, env=ENVIRONMENT, capture_output=True, text=True)
    assert "Job stats:" in done.stdout and "This was a dry-run" in done.stdout
