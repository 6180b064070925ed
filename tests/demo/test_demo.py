"""The results of `make demo` in the clone that SEMISEG_DEMO names. The tests run the demo a second time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests import cpu

pytestmark = pytest.mark.demo
METHODS = [
    *("supervised", "advsemiseg", "scl", "rc2l", "imas", "mean_teacher"),
    *("cutmix_seg", "fixmatch", "cps", "unimatch", "augseg"),
]


@pytest.fixture(scope="module")
def clone() -> Path:
    if "SEMISEG_DEMO" not in os.environ:
        pytest.skip("SEMISEG_DEMO names no clone in which `make demo` has run")
    return Path(os.environ["SEMISEG_DEMO"])


@pytest.fixture(scope="module")
def comparison(clone) -> pd.DataFrame:
    return pd.read_csv(clone / "results/pocket/tables/comparison.csv", dtype={"partition": str})


def test_every_cell_is_done(clone, comparison):
    assert set(comparison.state) == {"done"}
    assert set(comparison.method) == set(METHODS)
    for table in (clone / "results/pocket/tables").glob("ablation_*.csv"):
        assert set(pd.read_csv(table).state) == {"done"}, table.name


def test_all_methods_had_the_same_number_of_iterations(comparison):
    assert comparison.iterations.nunique() == 1


def test_pocket_is_a_useful_miniature(comparison):
    supervised = comparison[(comparison.method == "supervised") & (comparison.variant == "default")]
    miou = supervised.set_index("partition").miou_last_mean
    smallest = miou[str(min(int(name) for name in miou.index if name != "full"))]
    assert miou["full"] >= 75
    assert miou["full"] - smallest >= 12


def in_clone(
    clone: Path, *command: str, folder: Path | None = None, **changes: str
) -> subprocess.CompletedProcess[str]:
    """A command of the clone's environment."""
    environment = os.environ | {"PATH": f"{clone / '.venv/bin'}{os.pathsep}{os.environ['PATH']}", **changes}
    return subprocess.run(command, cwd=folder or clone, env=environment, capture_output=True, text=True)


def test_the_report_is_remade_in_seconds(clone):
    report = clone / "results/pocket/report"
    before = {path.relative_to(report): path.read_bytes() for path in report.rglob("*.html")}
    began = cpu.of_children()
    done = in_clone(clone, "semiseg", "report", "html", "--suite", "pocket", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert cpu.of_children() - began < 20
    assert {path.relative_to(report): path.read_bytes() for path in report.rglob("*.html")} == before


def test_every_run_page_leads_to_the_end_of_its_log(clone):
    pages = sorted((clone / "results/pocket/report/runs").glob("*.html"))
    for page in pages:
        [link] = re.findall(r'href="(\.\./logs/[^"]+)"', page.read_text())
        assert "510/510" in (page.parent / link).read_text(), page.name
    assert len(pages) >= len(METHODS)


def test_snakemakes_own_report_has_the_comparison_and_needs_no_network(clone, tmp_path):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    path = tmp_path / "snakemake.zip"
    command = ("snakemake", "--profile", "local", "--report", str(path), "--config", "suite=pocket")
    done = in_clone(clone, *command, **nowhere)
    assert done.returncode == 0, done.stderr
    archive = zipfile.ZipFile(path)
    text = archive.read("snakemake/report.html").decode()
    [shown] = re.findall(r"var results = (\{.*?\});\s*</script>", text, re.DOTALL)
    results = json.loads(shown)
    assert {"results/pocket/tables/comparison.md", "results/pocket/report/index.html"} <= set(results)
    assert "mIoU in percent of every cell" in results["results/pocket/tables/comparison.md"]["caption"]
    plots = {name: found for name, found in results.items() if name.startswith("results/pocket/plots/")}
    assert len(plots) == len(list((clone / "results/pocket/plots").glob("*.svg"))) > 8
    assert all(found["caption"] and found["labels"]["plot"] for found in plots.values())
    content = archive.read(f"snakemake/{results['results/pocket/tables/comparison.md']['data_uri']}").decode()
    assert content == (clone / "results/pocket/tables/comparison.md").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?:", text)


def test_another_clone_that_draws_and_trains_for_itself_has_the_same_tables(clone, tmp_path):
    """It takes all other runs from the first clone, because training them again would take as long as the demo."""
    own = ("stratified-0-24/supervised/default", "stratified-0-24/cutmix_seg/default")
    second = tmp_path / "second"
    subprocess.run(["git", "clone", "--quiet", clone, second], check=True)
    runs = "results/pocket/runs/pocket"
    shutil.copytree(clone / runs, second / runs)
    for run in own:
        shutil.rmtree(second / runs / run)
    for target in ("splits_all", "tables"):
        snakemake = ("snakemake", "--profile", "local", "--nocolor", target, "--config", "suite=pocket")
        done = in_clone(clone, *snakemake, folder=second, PYTHONPATH=str(second / "src"), OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\d\d:\d\d:\d\d trained ", done.stderr, re.M)) == len(own)
    tables = [path for path in (clone / "results/pocket/tables").iterdir() if path.suffix in (".csv", ".md", ".tex")]
    for table in [path for path in tables if path.stem != "cost"]:
        assert (second / "results/pocket/tables" / table.name).read_bytes() == table.read_bytes(), table.name


def test_the_work_tree_is_clean(clone):
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_a_second_demo_does_nothing_and_is_quick(clone):
    records = (clone / "results/pocket/records.jsonl").read_bytes()
    began = cpu.of_children()
    done = subprocess.run(["make", "-s", "demo"], cwd=clone, capture_output=True, text=True)
    seconds = cpu.of_children() - began
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr
    assert "report/index.html" in done.stdout
    assert (clone / "results/pocket/records.jsonl").read_bytes() == records
    assert seconds < 30
