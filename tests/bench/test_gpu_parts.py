"""The parts of `bench gpu` on a CPU with the small network: the same calls, other figures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.bench import gpu_page, gpu_parts, pocket_cell, step_speed

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"architecture": "small", "encoder": "", "width": 4}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(gpu_parts, "NETWORK", SMALL)
    monkeypatch.setattr(gpu_parts, "LIGHT", SMALL)
    monkeypatch.setattr(gpu_parts, "SMALL", SMALL)
    monkeypatch.setattr(gpu_parts, "TIMED", 0.0)
    monkeypatch.setattr(gpu_parts, "AT_ONCE", {32: 2})
    monkeypatch.setattr(gpu_parts, "METHODS", ("supervised", "fixmatch"))
    monkeypatch.setattr(gpu_parts, "REPEATED", 3)
    monkeypatch.setattr(gpu_parts, "REPEATED_CROP", 32)


def test_every_claim_about_gpus_has_its_part():
    parts = gpu_parts.parts()
    names = [part.name for part in parts]
    for group in ("step", "compiled"):
        for method in ("supervised", "fixmatch"):
            assert {f"{group}-{method}-{crop}" for crop in (321, 513, 801)} <= set(names)
    assert {part.group for part in parts} == set(gpu_page.SECTIONS), "a part without a section is on no page"
    assert len(set(names)) == len(names) and sum(part.seconds for part in parts if part.group != "compiled") <= 9 * 60


def test_a_step_is_measured_in_two_ways(images):
    rows = gpu_parts.step("fixmatch", 32, gpu_parts.WAYS, images)
    assert [(row["what"], row["batch"], row["items_per_call"]) for row in rows] == [("eager", 8, 2), ("plain", 8, 2)]
    assert rows[0]["eager_because"] == "engine.compile is false" and rows[1]["eager_because"] == "engine.plain is set"
    assert rows[0]["times_as_fast"] > 0
    shown = gpu_page._table(gpu_page.STEP, rows)
    assert "| fixmatch | 32 | 8 | eager |" in shown and "Share of the ceiling" in shown and "Peak MiB" not in shown


@pytest.mark.parametrize(("fits", "found"), [(8, [8]), (4, [8, 4]), (1, [8, 4, 2])])
def test_a_batch_that_does_not_fit_is_halved(fits, found, images, monkeypatch):
    tried = []

    def run(method, network, crop, batch, *settings, ways, **options):
        tried.append(batch)
        ran = {"case": "x"} | ({"what": "eager", "median_ms": 1.0} if batch <= fits else {"what": "out of memory"})
        return {"rows": [ran]}

    monkeypatch.setattr(step_speed, "run", run)
    if fits < 2:
        with pytest.raises(UserError, match=r"2 \+ 2 images do not fit"):
            gpu_parts.step("fixmatch", 32, gpu_parts.WAYS, images)
    else:
        assert gpu_parts.step("fixmatch", 32, gpu_parts.WAYS, images)[0]["batch"] == fits
    assert tried == found


def test_what_waits_is_named_and_the_check_is_switched_off_again(images, monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    monkeypatch.setattr(methods, "names", lambda: ["supervised", "st_plus_plus", "fixmatch"])
    real = gpu_parts.Training.step

    def step(training, batch):
        if modes and modes[-1] == "error" and training.config["method"]["name"] == "fixmatch":
            raise RuntimeError("called a synchronizing CUDA operation\nmore")
        real(training, batch)

    monkeypatch.setattr(gpu_parts.Training, "step", step)
    assert gpu_parts.waiting(images) == [
        {"method": "supervised", "waits": "no"},
        {"method": "fixmatch", "waits": "called a synchronizing CUDA operation"},
    ]
    assert modes == ["error", "default"] * 2


def test_determinism_compares_the_bits_of_two_trainings(images, monkeypatch):
    rows = gpu_parts.determinism(images)
    assert [(row["method"], row["deterministic"], row["same_bits"]) for row in rows] == [
        ("supervised", True, True), ("supervised", False, True), ("fixmatch", True, True), ("fixmatch", False, True),
    ]  # fmt: skip
    assert rows[0]["times_as_long"] > 0 and "times_as_long" not in rows[1]
    real, seeds = gpu_parts.step_speed.settings_of, iter(range(100))
    monkeypatch.setattr(step_speed, "settings_of", lambda *given: real(*given) | {"seed": next(seeds)})
    assert not any(row["same_bits"] for row in gpu_parts.determinism(images))


def test_the_threshold_is_found_in_both_ways(images, monkeypatch):
    monkeypatch.setattr(gpu_parts, "SECONDS", {32: 1})
    rows = gpu_parts.threshold(images)
    assert [(line["case"], line["what"]) for line in rows] == [("32", "topk"), ("32", "kthvalue")]
    assert all(line["median_ms"] > 0 for line in rows)


def test_evaluation_is_that_of_the_engine(images, monkeypatch):
    called = []
    real = step_speed.made_images
    monkeypatch.setattr(step_speed, "made_images", lambda folder, crop: called.append(crop) or real(folder, 32))
    rows = gpu_parts.evaluation(images)
    assert called == [321, 801] and [row["case"] for row in rows] == ["375x500", "1024x2048"]
    assert all(row["items_per_call"] == step_speed.IMAGES and row["median_ms"] > 0 for row in rows)


def test_the_ceiling_is_measured_in_each_precision(images):
    before = torch.get_float32_matmul_precision()
    try:
        rows = gpu_parts.ceiling(images)
    finally:
        torch.set_float32_matmul_precision(before)
    assert [row["precision"] for row in rows] == ["bf16", "tf32", "fp32"]
    assert all(row["tflop_per_second"] >= 0 for row in rows)


@pytest.mark.slow  # draws the whole data set
def test_a_cell_of_pocket_is_trained_from_each_seed(tmp_path, monkeypatch):
    """The suite of the repository, shortened to a few steps."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    suite = content["suites"]["pocket"]
    suite["recipe"] |= {"iterations": 4, "batch": {"labelled": 2, "unlabelled": 2}}
    suite["recipe"]["optimiser"]["warmup"] = suite["recipe"]["mask_head_optimiser"]["warmup"] = 1
    suite["evaluation"] |= {"every": 2, "diagnostics": 0, "pictures": 0}
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    monkeypatch.setattr(pocket_cell, "SEEDS", (0, 1))
    rows = pocket_cell.trainings({"precision": "fp32", "compile": False}, tmp_path / "cell")
    assert [(row["method"], row["seed"], row["in_effect"]) for row in rows] == [
        ("unimatch", 0, "fp32"),
        ("unimatch", 1, "fp32"),
    ]
    assert all(0 <= row["miou"] <= 100 and row["seconds"] > 0 for row in rows)
    assert Path.cwd() == tmp_path
    again = pocket_cell.trainings({"precision": "fp32", "plain": True}, tmp_path / "cell")
    assert [row["seed"] for row in again] == [0, 1]
    configs = [yaml.safe_load(path.read_text()) for path in (tmp_path / "cell").rglob("config.yaml")]
    assert [one["recipe"]["engine"]["plain"] for one in configs] == [True, True], "trained anew in the same folder"
    shutil.rmtree(tmp_path / "cell")
    Path("params.yaml").unlink()
    with pytest.raises(UserError, match="clone"):
        pocket_cell.trainings({}, tmp_path / "cell")
