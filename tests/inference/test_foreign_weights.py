"""Weights from elsewhere get the same score as in their run, and incomplete weights are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file

from semiseg.base.errors import UserError
from semiseg.cli import main
from semiseg.inference import foreign_weights
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig
from tests.commands.conftest import finished  # noqa: F401 - a fixture


@pytest.fixture
def run(finished, tmp_path, monkeypatch):  # noqa: F811
    root, folder = finished
    shutil.copytree(root, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return folder


@pytest.mark.parametrize("kind", ["safetensors", "pt", "wrapped"])
def test_the_score_is_that_of_the_run(run, kind, capsys):
    state = load_file(run / "model.safetensors")
    file, prefix = {
        "safetensors": (run / "model.safetensors", "student."),
        "pt": ("student.pt", ""),
        "wrapped": ("student.pth", "net."),
    }[kind]
    student = {key.removeprefix("student."): value for key, value in state.items() if key.startswith("student.")}
    torch.save(student, "student.pt")
    # As DistributedDataParallel in a training's checkpoint has them.
    wrapped = {f"module.net.{key}": value for key, value in student.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, "student.pth")
    main(["evaluate", "--weights", str(file), "--prefix", prefix, "--out", "score.json"])
    summary = json.loads((run / "eval.json").read_text())["networks"]["student"]["last"]
    found = json.loads(Path("score.json").read_text())
    assert found["confusion"] == summary["confusion"]
    assert found["miou"] == summary["miou"]
    assert found["miou_error"] > 0
    assert f"test mIoU {found['miou']:.2f}" in capsys.readouterr().out


def test_the_protocol_can_be_another(run):
    torch.manual_seed(0)
    arguments = ["evaluate", "--weights", str(run / "model.safetensors"), "--prefix", "teacher."]
    main([*arguments, "--out", "one.json"])
    main([*arguments, "--protocol", "scales=[0.5, 1.0]", "flip=true", "--out", "two.json"])
    one, two = (json.loads(Path(name).read_text()) for name in ("one.json", "two.json"))
    assert two["protocol"]["scales"] == [0.5, 1.0] and two["protocol"]["flip"] is True
    assert one["confusion"] != two["confusion"]


def test_models_of_segmentation_models_pytorch_fit_by_their_own_names():
    theirs = smp.Unet("resnet18", encoder_weights=None, classes=3).eval()
    ours = networks.build(NetworkConfig(architecture="unet", encoder="resnet18"), 3)
    foreign_weights.fit(ours, theirs.state_dict(), "unet.pt")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(ours.eval()(images).logits, theirs(images), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.popitem() and state, "1 keys are missing"),
        (lambda state: state | {"more.weight": torch.zeros(1)}, "1 are unknown (more.weight"),
        (lambda state: {key: value[..., None] for key, value in state.items()}, "have another shape"),
    ],
)
def test_keys_that_do_not_fit_are_a_sentence(change, words):
    network = networks.build(NetworkConfig(width=4), 3)
    with pytest.raises(UserError, match="does not fit the network") as refused:
        foreign_weights.fit(network, change(dict(network.state_dict())), "own.pt")
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_what_would_execute_code_is_not_read(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(UserError, match="is not a file of weights only"):
        foreign_weights.read(tmp_path / "model.pt")


def test_a_list_of_tensors_is_no_state_dict(tmp_path):
    torch.save({0: torch.zeros(1), 1: torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(UserError, match="holds no state dict"):
        foreign_weights.read(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "none.pt"], "there is no file none.pt"),
        (["--weights", "model.pt", "--network", "width"], "expected KEY=VALUE"),
        (["--weights", "model.pt", "--network", "widht=8"], "unknown key; did you mean"),
        (["--weights", "model.pt", "--network", "width=[8"], "is not a value as in params.yaml"),
        (["--weights", "model.pt", "--protocol", "name=whole!"], "--protocol: name"),
        (["--weights", "model.pt", "--prefix", "other."], "has no key that begins with 'other.'"),
        (["--weights", "model.pt", "--suite", "tinny"], "there is no suite 'tinny'"),
    ],
)
def test_bad_input_is_a_sentence(run, capsys, arguments, words):
    torch.save({"a.weight": torch.zeros(1)}, "model.pt")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *arguments])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in said and said.count("\n") == 1
