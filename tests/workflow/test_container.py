"""workflow/container.def against the repository: what it copies, installs and calls. Nothing here builds it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.workflow.conftest import ENVIRONMENT, REPOSITORY

DEFINITION = REPOSITORY / "workflow/container.def"
SECTIONS = {"help", "files", "post", "environment", "test", "runscript"}


@pytest.fixture(scope="module")
def parsed() -> tuple[dict[str, str], dict[str, str]]:
    """The header's entries, and the text of each section."""
    header, *parts = re.split(r"^%(?=\w)", DEFINITION.read_text(), flags=re.M)
    entries = dict(line.split(": ", 1) for line in header.splitlines() if line.strip())
    return entries, {name: text for name, _, text in (part.partition("\n") for part in parts)}


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
