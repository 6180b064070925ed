"""What the catalogue of Snakemake workflows expects of a repository, and of a report made by `snakemake --report`."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from semiseg.cli import COMMANDS
from semiseg.commands import report
from tests import tiny
from tests.browser.conftest import Browser, driver  # noqa: F401 - a fixture
from tests.workflow.conftest import ENVIRONMENT, REPOSITORY


def test_the_repository_has_what_the_catalogue_asks_for():
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["report"] is True
    assert set(usage["software-stack-deployment"]) <= {"conda", "apptainer", "apptainer+conda"}
    assert (REPOSITORY / "workflow/Snakefile").exists()
    assert "params.yaml" in (REPOSITORY / "config/README.md").read_text()


@pytest.mark.parametrize("name", [path.name for path in (REPOSITORY / ".github/workflows").glob("*.yml")])
def test_hosted_jobs_call_commands_that_exist(name):
    jobs = yaml.safe_load((REPOSITORY / ".github/workflows" / name).read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = set((REPOSITORY / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split())
    lines = [line.split() for command in commands for line in command.splitlines()]
    called = {words[1] for words in lines if words[:1] == ["make"]}
    assert called and called <= targets
    ours = [words[1:] for words in lines if words[:1] == ["semiseg"]]
    assert all(words[0] in COMMANDS for words in ours)
    assert all(words[1] in report.PARTS for words in ours if words[0] == "report")


def test_both_places_of_the_snakefile_plan_the_same(study):
    work = study(tiny.params({"supervised": {"at": [4]}}, splits={"partitions": [4]}))
    plans = [work.snakemake("-n", *options) for options in ((), ("--snakefile", "workflow/Snakefile"))]
    assert {plan.code for plan in plans} == {0}, plans[1].text
    assert "train_short" in plans[0].text and plans[0].text.count("rule ") == plans[1].text.count("rule ")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """A tiny study, and what `snakemake --report report.zip` makes of it, unpacked."""
    folder = tmp_path_factory.mktemp("report")
    content = tiny.params({"supervised": {"at": [4]}}, splits={"partitions": [4]}, recipe={"iterations": 4})
    root = tiny.with_workflow(tiny.workspace(folder / "study", content), REPOSITORY)
    for command in ((), ("--report", "report.zip")):
        done = subprocess.run(
            ["snakemake", "--profile", "local", "--cores", "2", *command], cwd=root, env=ENVIRONMENT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(root / "report.zip") as packed:
        packed.extractall(folder / "unpacked")
    return folder / "unpacked/report"


def test_every_page_of_the_report_is_in_the_archive(archive):
    study = archive.parents[1] / "study/results/tiny/report"
    pages = {path.relative_to(study).as_posix() for path in study.rglob("*.html")}
    packed = {path.relative_to(archive).as_posix() for path in archive.rglob("*.html")}
    assert pages and all(any(name.endswith("/" + page) for name in packed) for page in pages)


@pytest.mark.browser
def test_the_report_opens_in_a_browser_and_so_do_its_pages(archive, driver):  # noqa: F811
    browser = Browser(driver, archive)
    browser.open("report.html")
    assert browser.wait(lambda: "same lists of labelled images" in browser.run("return document.body.innerText"))
    assert [said for said in browser.console() if "tailwindcss" not in said] == []  # Snakemake's own page warns of it
    [index] = archive.glob("data/raw/*/index.html")
    inside = Browser(driver, index.parent)
    inside.open("index.html")
    [tables] = [link for link in inside.css("nav a") if link.text == "Tables"]
    tables.click()
    assert inside.wait(lambda: "tables.html" in driver.current_url) and inside.css("table")
    assert inside.run("return getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse"
    assert inside.console() == []
