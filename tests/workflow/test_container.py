"""workflow/container.def against the repository: what it copies, installs and calls. Nothing here builds it for real;
the script that does is run with a buildah that only notes what it is asked for."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.workflow.conftest import ENVIRONMENT, REPOSITORY

DEFINITION = REPOSITORY / "workflow/container.def"
SCRIPT = REPOSITORY / "scripts/container_with_buildah.py"
SECTIONS = {"help", "files", "post", "environment", "test", "runscript"}


@pytest.fixture(scope="module")
def parsed() -> tuple[dict[str, str], dict[str, str]]:
    """The header's entries, and the text of each section."""
    return runpy.run_path(str(SCRIPT))["parse"](DEFINITION.read_text())


def copied(sections: dict[str, str]) -> dict[str, Path]:
    """Place in the image -> what is copied there."""
    pairs = [line.split() for line in sections["files"].splitlines() if line.strip()]
    return {target: REPOSITORY / source for source, target in pairs}


def test_the_header_names_a_python_that_the_project_supports(parsed):
    header, sections = parsed
    assert set(sections) == SECTIONS
    assert header["Bootstrap"] == "docker"
    found = re.fullmatch(r"python:(3)\.(\d+)-slim-\w+", header["From"])
    least = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f">={found[1]}.{found[2]}" == least, "the lock is made for the oldest Python"


def test_all_that_is_copied_is_here_and_all_that_is_needed_is_copied(parsed):
    _, sections = parsed
    files = copied(sections)
    assert all(path.exists() for path in files.values()), files
    used = set(re.findall(r"/opt/semiseg[\w./-]*", sections["post"]))
    assert used <= {*files, "/opt/semiseg"}
    # Building the package reads these; pip would end with an error where one is missing.
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for name in ("pyproject.toml", "src", project["readme"], *project.get("license-files", ())):
        assert f"/opt/semiseg/{name}" in files, name


@pytest.mark.parametrize("section", ["post", "environment", "test", "runscript"])
def test_every_section_is_shell(parsed, section):
    done = subprocess.run(["sh", "-n"], input=parsed[1][section], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_the_image_tests_holds_of_the_locked_environment(parsed):
    """The same commands, with the packages that the lock installs."""
    done = subprocess.run(["sh", "-eu", "-c", parsed[1]["test"]], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("semiseg ")


@pytest.mark.skipif(not shutil.which("apt-cache"), reason="no Debian")
def test_debian_has_the_packages(parsed):
    [line] = re.findall(r"apt-get install (.*)", parsed[1]["post"])
    for package in (word for word in shlex.split(line) if not word.startswith("-")):
        done = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True)
        assert f"{package}:" in done.stdout, package


@pytest.fixture
def built(tmp_path):
    """Runs the script; returns what it says on stderr and buildah's commands."""
    notes, buildah = tmp_path / "notes", tmp_path / "buildah"
    buildah.write_text(
        '#!/bin/sh\necho "$@" | tr "\\n" " " >>"$NOTES"; echo >>"$NOTES"\n'
        'case "$1" in from) echo box;; run) case "$*" in *"$FAILS"*) exit 3;; esac;; esac\n'
    )
    buildah.chmod(0o755)

    def run(*arguments: str, fails: str = "nothing") -> tuple[str, list[str]]:
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        environment = ENVIRONMENT | {"PATH": path, "NOTES": str(notes), "FAILS": fails}
        done = subprocess.run([sys.executable, SCRIPT, *arguments], env=environment, capture_output=True, text=True)
        return done.stderr, [line.strip() for line in notes.read_text().splitlines()]

    return run


def test_buildah_does_what_the_definition_says_and_tests_before_it_commits(parsed, built):
    error, told = built("--tag", "mine", "--run=--volume=/a:/b")
    assert error == ""
    header, sections = parsed
    files = len(copied(sections))
    verbs = [line.split()[0] for line in told]
    assert verbs == ["from", *["copy"] * files, "run", "run", "config", "commit", "rm"]
    assert told[0] == f"from {header['From']}"
    post, test = (line for line in told if line.startswith("run "))
    assert (
        post.startswith("run --volume=/a:/b box -- sh -c") and "pip install -r /opt/semiseg/requirements.lock" in post
    )
    assert "semiseg --version" in test and "OMP_NUM_THREADS" in test
    assert "commit --quiet box mine" in told[-2] and "exec semiseg" in told[-3]


def test_an_image_that_fails_its_test_is_not_committed(built, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    error, told = built("--base", str(base), fails="semiseg --version")
    verbs = [line.split()[0] for line in told]
    assert error.startswith("`buildah run` ended with 3") and error.count("\n") == 1
    assert "commit" not in verbs and verbs[-1] == "rm"
    assert told[:2] == ["from scratch", f"add --quiet box {base} /"]
