"""semiseg report bundle: one zip with everything, described so that others' programs can read it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from semiseg.base.errors import UserError
from semiseg.report import bundle, html
from tests.report import studies

pytest.importorskip("rocrate")
VALIDATOR = "roc-validator==0.13.0"
SCRIPT = Path(__file__).with_name("validate_crate.py")


def make_pages(place: Path, rows) -> None:
    html.build("pocket", place, rows, dataset=studies.DATASET)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "pocket"
    methods = {"supervised": (0.0, "student"), "cutmix_seg": (9.0, "teacher")}
    planned = studies.descriptions(seeds=2, ablations=False, methods=methods, partitions={"12": 12})
    studies.simulate(folder, planned, images=6, pictures=0)
    shutil.rmtree(folder / "runs")
    return folder


@pytest.fixture(scope="module")
def packed(study, tmp_path_factory):
    target = tmp_path_factory.mktemp("bundles") / "deep/pocket.zip"
    number = bundle.build(study, target, make_pages, "terms of a test")
    with zipfile.ZipFile(target) as archive:
        assert len(archive.namelist()) == number and archive.testzip() is None
        archive.extractall(target.with_suffix(""))
    return target


@pytest.fixture
def unpacked(packed):
    return packed.with_suffix("")


def test_a_bundle_has_every_part_and_verifies(unpacked):
    from semiseg.report import verify

    assert {path.name for path in unpacked.iterdir()} == {*(name.rstrip("/") for name in bundle.PARTS), bundle.METADATA}
    assert (unpacked / "report/index.html").exists() and (unpacked / "tables/comparison.tex").exists()
    assert verify.verify(unpacked)[1] == []


def test_its_hashes_are_those_of_its_files(unpacked):
    lines = [line.split("  ") for line in (unpacked / bundle.SUMS).read_text().splitlines()]
    assert {name for _, name in lines} == {
        path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()
    } - {bundle.SUMS, bundle.METADATA}
    assert all(hashlib.sha256((unpacked / name).read_bytes()).hexdigest() == digest for digest, name in lines)


def test_the_crate_names_data_program_and_answer(unpacked):
    graph = {entity["@id"]: entity for entity in json.loads((unpacked / bundle.METADATA).read_text())["@graph"]}
    root = graph["./"]
    assert "labels (pixel head)" in root["description"] and root["license"]["@id"] == bundle.LICENSE
    assert {part["@id"] for part in root["hasPart"]} == set(bundle.PARTS)
    assert graph["#data"]["usageInfo"] == "terms of a test" and "sha256:" + "d" * 64 in graph["#data"]["identifier"]
    assert "0123456789abcdef" in graph["#semiseg"]["description"]
    assert graph["#study"]["endTime"] == "2026-01-01T00:01:00+00:00"


def test_equal_content_gives_equal_bytes(study, packed, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    bundle.build(study, tmp_path / "again.zip", make_pages, "terms of a test")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_a_study_of_an_earlier_version_is_a_sentence(study, tmp_path):
    earlier = tmp_path / "pocket"
    shutil.copytree(study, earlier)
    (earlier / "evaluations.npz").unlink()
    with pytest.raises(UserError, match="this study has no stored evaluations"):
        bundle.build(earlier, tmp_path / "x.zip", make_pages, "")
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.slow
def test_the_crate_is_valid(unpacked, tmp_path):
    """The validator wants another version of rich than ours, so it has an environment of its own."""
    python = tmp_path / "validator/bin/python"
    for command in (["venv", str(tmp_path / "validator")], ["pip", "install", "--python", str(python), VALIDATOR]):
        made = subprocess.run(["uv", "--system-certs", *command], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
    done = subprocess.run([python, SCRIPT, unpacked], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Whoever publishes a bundle knows an address of the authors; this program knows none.
    assert json.loads(done.stdout.splitlines()[-1]) == [["RECOMMENDED", "The organization SHOULD have a URL."]]
