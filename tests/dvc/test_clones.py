"""Results are exchanged between clones: results with current specs are accepted, and damage is detected."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.dvc.clone import ABLATION, COMPARISON


def test_pulled_results_are_accepted_and_a_change_trains_its_run_alone(origin, tmp_path):
    there = origin.clone(tmp_path / "there")
    there.must("dvc", "pull")
    adopted = there.must("semiseg", "adopt").text
    assert adopted.count(": accepted") == 3
    repro = there.repro()
    assert repro.jobs("data", "split", "train", "evaluate") == 0
    assert there.trained() == origin.trained()
    assert there.tables() == origin.tables()
    assert there.is_clean(), "not even the report differs"

    there.change("fixmatch", confidence=0.9)
    refused = there.run("semiseg", "adopt")
    assert refused.code == 1
    assert "parameter method.options.confidence: 0.8 -> 0.9" in refused.text
    assert refused.text.count(": accepted") == 2
    assert there.repro().trainings == 1
    after = there.trained()
    assert {run for run in after if after[run] != origin.trained()[run]} == {"fixmatch/default"}


def test_a_clone_that_trains_for_itself_has_the_same_tables(origin, tmp_path):
    there = origin.clone(tmp_path / "there")
    assert there.snakemake("tables").trainings == 3
    assert there.tables() == origin.tables()


def test_other_images_than_those_of_the_pulled_manifest_are_seen(origin, tmp_path):
    there = origin.clone(tmp_path / "there")
    there.must("dvc", "pull")
    raw = there.root / "data/tiny/raw"
    shutil.copy(raw / "JPEGImages/train_001.png", raw / "JPEGImages/train_000.png")
    planned = there.snakemake("--dry-run", "all")
    assert planned.planned("data") == 1
    assert planned.planned("train") == 3


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_links_into_the_cache_are_never_written_through(kind, origin, tmp_path):
    there = origin.clone(tmp_path / "there")
    there.must("dvc", "config", "--local", "cache.type", kind)
    there.must("dvc", "pull")
    kept = _content(there.root / ".dvc/cache/files")
    assert there.snakemake("tables").jobs("data", "split", "train", "evaluate") == 0
    there.change("fixmatch", confidence=0.9)
    assert there.snakemake("tables").jobs("data", "split", "train") == 1
    assert _content(there.root / ".dvc/cache/files") == kept


def _content(cache: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in cache.rglob("*") if path.is_file()}


def _damage(path: Path) -> None:
    """Flip one bit; the file stays read-only, so DVC does not check it."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.chmod(mode)


def _object(files: Path, original: Path) -> Path:
    """The cached or remote copy of a file."""
    [found] = [path for path in files.rglob("*") if path.is_file() and path.read_bytes() == original.read_bytes()]
    return found


def _with_own_remote(work, tmp_path) -> Path:
    remote = tmp_path / "remote"
    shutil.copytree(work.home / ".cache/semiseg/results", remote)
    work.must("dvc", "remote", "modify", "--local", "results", "url", str(remote))
    return remote


def test_a_damaged_object_in_the_cache_reaches_no_table(origin, work, tmp_path):
    """DVC does not check its cache."""
    remote, cache = _with_own_remote(work, tmp_path), work.root / ".dvc/cache"
    path = work.path_of("fixmatch/default")
    _damage(_object(cache / "files", path / "evaluations.npz"))
    shutil.rmtree(work.folder / "runs")
    work.must("dvc", "checkout")
    said = work.run("semiseg", "adopt")
    assert said.code == 1
    assert "evaluations.npz is damaged" in said.text
    assert said.text.count(": accepted") == 2

    # What docs/dvc.md says: from the remote again.
    shutil.rmtree(cache)
    shutil.rmtree(path)
    work.must("dvc", "pull")
    assert work.must("semiseg", "adopt").text.count(": accepted") == 3
    assert work.trained() == origin.trained()

    # Without a remote: that run is trained again, no other, and the result is what it was.
    _damage(path / "evaluations.npz")
    for file in path.iterdir():
        os.utime(file)
    again = work.snakemake("tables")
    assert "is damaged, so" in again.text
    assert again.trainings == 1
    assert work.tables() == origin.tables()
    assert remote.exists()


def test_a_damaged_object_of_the_remote_costs_its_file_alone(origin, tmp_path):
    there = origin.clone(tmp_path / "there")
    remote = _with_own_remote(there, tmp_path)
    _damage(_object(remote / "files", origin.path_of("fixmatch/default") / "model.safetensors"))
    refused = there.run("dvc", "pull")
    assert refused.code != 0
    assert "Traceback" not in refused.text
    assert "failed" in refused.text
    there.must("dvc", "pull", "--allow-missing")
    for run in origin.trained():
        there.run("dvc", "pull", str(there.path_of(run).relative_to(there.root)))
    said = there.run("semiseg", "adopt")
    assert said.code == 1
    assert "it has not been trained" in said.text
    assert said.text.count(": accepted") == 2
    assert there.snakemake("tables").trainings == 1
    assert there.tables() == origin.tables()


def test_a_missing_remote(origin, work, tmp_path):
    there = origin.clone(tmp_path / "there")
    there.must("dvc", "remote", "modify", "--local", "results", "url", str(tmp_path / "nowhere"))
    refused = there.run("dvc", "pull")
    assert refused.code != 0
    assert "Traceback" not in refused.text
    assert "results/tiny/runs" in refused.text
    assert there.run("semiseg", "adopt").text.count("it has not been trained") == 3
    # A remote that is no folder: the sentence names it, and everything is still here.
    (tmp_path / "file").write_text("")
    work.must("dvc", "remote", "modify", "--local", "results", "url", str(tmp_path / "file"))
    refused = work.run("dvc", "push")
    assert refused.code != 0
    assert "Traceback" not in refused.text
    assert str(tmp_path / "file") in refused.text
    assert work.trained().keys() == {*COMPARISON, ABLATION}


def test_a_full_remote(origin, work, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", small], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system needs root")
    try:
        work.must("dvc", "remote", "modify", "--local", "results", "url", str(small / "remote"))
        refused = work.run("dvc", "push")
        assert refused.code != 0
        assert "No space left on device" in refused.text
        assert "failed to push data" in refused.text
        assert work.is_clean()
        subprocess.run(["mount", "-o", "remount,size=60m", small], check=True)
        work.must("dvc", "push")
        assert "up to date" in work.must("dvc", "push").text
        there = origin.clone(tmp_path / "there")
        there.must("dvc", "remote", "modify", "--local", "results", "url", str(small / "remote"))
        there.must("dvc", "pull")
        assert there.trained() == origin.trained()
    finally:
        subprocess.run(["umount", small], check=True)
