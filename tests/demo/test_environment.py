"""What `make environment` installs and prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
OWN = "--index-url https://torch.example/cpu\ntorch==2.15.0\nTorchvision>=0.29\n"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("environment", ROOT / "scripts/environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_file_of_ones_own_the_lock_is_what_is_installed(script):
    assert script.without(LOCK, "") == LOCK
    assert script.without(LOCK, "dvc-s3\n") == LOCK


def test_a_torch_of_ones_own_spares_cuda(script):
    before, after = set(script.names(LOCK)), set(script.names(script.without(LOCK, OWN)))
    gone = before - after
    assert {"torch", "torchvision", "triton"} <= gone
    assert {name for name in before if name.startswith("nvidia-")} - gone == {"nvidia-ml-py"}, "it reads energy"
    assert not any(name.startswith("cuda-") for name in after)
    assert {"timm", "numpy", "snakemake"} <= after


def test_it_says_what_it_installs_and_how_large_that_is(script):
    said = script.announcement(LOCK, "linux")
    assert f"{len(script.names(LOCK))} packages" in said and "6.3 GB" in said
    assert "CUDA" not in script.announcement(script.without(LOCK, OWN), "linux")
    assert "without CUDA" in script.announcement(LOCK, "darwin")
