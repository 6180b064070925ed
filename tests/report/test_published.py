"""What git holds of studies: few files, small, browsable on a code host, and an index that is current."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

from semiseg.base import files
from tests.report.test_ranks import in_order

ROOT = Path(__file__).resolve().parents[2]
FILES, BYTES, OF_EVALUATIONS = 250, 8 * 2**20, 4 * 2**20


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Paths below results/ as git has them, and those that `git add` would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "results"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "scripts/results_index.py"))


def test_results_are_few_and_small(tracked):
    assert 0 < len(tracked) <= FILES
    assert sum((ROOT / path).stat().st_size for path in tracked) <= BYTES
    large = [path for path in tracked if path.name == "evaluations.npz"]
    assert [path for path in large if (ROOT / path).stat().st_size > OF_EVALUATIONS] == []


def test_no_pages_and_no_run_folders_are_in_git(tracked):
    assert [path for path in tracked if path.suffix == ".html" or "runs" in path.parts or "report" in path.parts] == []


def test_each_study_has_its_page_tables_and_plots(tracked, script):
    for folder in script["studies"](ROOT):
        here = {path.relative_to(folder.relative_to(ROOT)).as_posix() for path in tracked
                if (ROOT / path).is_relative_to(folder)}  # fmt: skip
        assert {"README.md", "records.jsonl", "evaluations.npz", "tables/comparison.csv"} <= here, folder
        assert any(path.startswith("plots/") for path in here), folder


def test_the_index_is_current(script):
    page = (ROOT / "results/README.md").read_text()
    assert page == script["page"](page, script["studies"](ROOT)), "type `python scripts/results_index.py`"
    plot = ROOT / "results/ranks.svg"
    assert (plot.read_bytes() if plot.exists() else None) == script["ranked"](script["studies"](ROOT))[1]


def test_the_index_ranks_methods_over_data_sets(script, tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        files.write_text(folder / "evaluations.npz", "")
        rows = in_order(folder.name)
        text = "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])
        files.write_text(folder / "tables/comparison.csv", text)
    words, plot = script["ranked"](folders)
    assert "Over 3 data sets U2PL has the best mean rank" in words and "](ranks.svg)" in words
    assert plot.startswith(b"<?xml")
    (folders[0] / "evaluations.npz").unlink()
    assert script["ranked"](folders)[1] is None, "a study of an earlier version does not count"


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("mine/README.md", False), ("mine/records.jsonl", False), ("mine/evaluations.npz", False),
        ("mine/tables/comparison.csv", False), ("mine/plots/differences.svg", False),
        ("mine/tables/comparison.json", True), ("mine/plots/differences.png", True), ("mine/report/index.html", True),
        ("mine/runs/a/seed0/evaluations.npz", True), ("mine/splits/a.json", True), ("mine/tables/made_from.json", True),
        ("pocket/README.md", True), ("pocket/tables/comparison.csv", True), ("index.html", True),
    ],
)  # fmt: skip
def test_what_git_ignores_of_a_study(name, ignored):
    asked = subprocess.run(["git", "check-ignore", "-q", f"results/{name}"], cwd=ROOT)
    if asked.returncode > 1:
        pytest.skip("not a git repository")
    assert (asked.returncode == 0) == ignored
