"""Results that cannot be written: one sentence, an exit code that is not 0, and no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import tiny
from tests.workflow.conftest import ENVIRONMENT

RUN = "results/tiny/runs/tiny/stratified-0-4/supervised/default/seed0"
# root may write everywhere, unless it gives that right away
OBEDIENT = () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override")


@pytest.fixture
def work(study):
    """With data and lists, and nothing trained."""
    content = tiny.params({"supervised": {"at": [4]}}, splits={"partitions": [4]}, recipe={"iterations": 4})
    return study(content, prepared=True)


@pytest.fixture
def read_only(work):
    if OBEDIENT and not shutil.which(OBEDIENT[0]):
        pytest.skip("root may write everywhere, and setpriv is not there to take that right away")
    folders = [work.root / "results", *(path for path in (work.root / "results").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield work
    for folder in folders:  # or pytest could not remove them
        folder.chmod(0o755)


def run(root: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        [*OBEDIENT, *command], cwd=root, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def test_a_training_says_which_folder_it_may_not_write(read_only):
    code, text = run(read_only.root, "semiseg", "train", RUN)
    assert code == 2
    assert text.startswith("semiseg: results/tiny") and "Permission denied" in text
    assert "Traceback" not in text and len(text.splitlines()) <= 2


def test_snakemake_says_so_before_anything_starts(read_only):
    code, text = run(read_only.root, *read_only.command("all"))
    assert code == 2
    assert "semiseg: results cannot be written" in text
    assert "Traceback" not in text and "Select jobs" not in text


def test_a_file_in_place_of_the_folder(work):
    shutil.rmtree(work.root / "results")
    (work.root / "results").write_text("")
    outcome = work.snakemake()
    assert outcome.code == 2
    assert "semiseg: results has to be a folder" in outcome.text
    assert "Traceback" not in outcome.text
    code, text = run(work.root, "semiseg", "train", RUN)
    assert code != 0 and "Traceback" not in text and text.startswith("semiseg: results/tiny")
