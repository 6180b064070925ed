"""semiseg data check, prepare and init, as commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from semiseg.base.errors import UserError
from semiseg.cli import main
from semiseg.datasets.first_look.proposal import suggest_groups
from semiseg.params import loading, local
from semiseg.study.study import Study
from tests import tiny
from tests.datasets import dataset_trees as trees


def fails(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["data", *arguments])
    return caught.value.code


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tiny.workspace(tmp_path / "study", tiny.params()))
    return Path.cwd()


def test_check_says_what_it_saw_and_prepare_decodes(root, capsys):
    main(["data", "check", "tiny"])
    told = capsys.readouterr().out
    assert "train: 12 images, 12 masks; 32x32 (12)" in told
    assert "stripe" in told
    assert "verdict stored in data/tiny/manifest.json" in told
    assert not (root / "data/tiny/store").exists()
    main(["data", "prepare", "tiny"])
    assert (root / "data/tiny/store/index.json").exists()


def test_a_problem_is_named_and_ends_with_2(root, capsys):
    mask = root / "data/tiny/raw/SegmentationClass/val_001.png"
    trees.save(mask, trees.label(0, 9, (32, 32)))
    assert fails("check", "tiny") == 2
    told = capsys.readouterr()
    assert "problem: " in told.out
    assert "val_001.png" in told.err
    assert fails("prepare", "tiny") == 2
    assert not (root / "data/tiny/store/index.json").exists()
    assert fails("check", "tinny") == 2
    assert "did you mean 'tiny'?" in capsys.readouterr().err


def test_get_says_that_a_copy_is_used_in_place(root, capsys):
    content = tiny.params()
    content["datasets"]["streets"] = {"kind": "camvid", "data_root": "copy"}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    (root / "copy").mkdir()
    main(["data", "get", "streets"])
    assert "copy is used in place, nothing is downloaded" in capsys.readouterr().out


def own(root: Path, name: str = "own", count: int = 10, labelled: int = 10) -> Path:
    for number in range(count):
        trees.save(root / f"{name}/images/video{number // 2}_{number:03}.png", trees.rgb(number, (64, 96)))
        if number < labelled:
            trees.save(root / f"{name}/masks/video{number // 2}_{number:03}.png", trees.label(number, 3, (64, 96)))
    return root / name


def test_init_prints_what_params_accepts_and_writes_nothing_but_classes(root, capsys):
    own(root)
    main(["data", "init", "own"])
    told = capsys.readouterr().out
    assert "5 groups (video0, video1, video2, …)" in told and "group_pattern: '^(.+)[_-]'" in told
    assert not (root / "params.local.yaml").exists()
    printed = told[told.index("datasets:") : told.index("next: `semiseg data check own`")]
    (root / "params.local.yaml").write_text(printed)
    assert {"supervised", "unimatch"} < loading.load(suite="own_try").suites["own_try"].methods.keys()
    main(["data", "check", "own"])
    assert fails("init", "nowhere") == 2


def test_init_writes_beside_what_params_local_has_and_replaces_its_own(root, capsys):
    own(root, labelled=8)
    (root / "params.local.yaml").write_text(
        "# mine\nsuites:\n  # kept\n  mine: {extends: tiny}\n\n"
        "datasets:\n  other: {kind: folder, data_root: x}  # too\n"
    )
    main(["data", "init", "own", "--write"])
    text = (root / "params.local.yaml").read_text()
    for kept in (
        "# mine\n",
        "  # kept\n",
        "  mine: {extends: tiny}\n",
        "  other: {kind: folder, data_root: x}  # too\n",
    ):
        assert kept in text
    params = loading.load(suite="own_final")
    assert params.suites["own_final"].dataset == "own" and {"mine", "own_try"} < params.suites.keys()
    main(["data", "init", "own/", "--write"])
    assert yaml.safe_load((root / "params.local.yaml").read_text()) == yaml.safe_load(text)
    assert "suites own_try, own_final" in capsys.readouterr().out


def test_init_leaves_a_params_local_that_it_cannot_edit(root, capsys):
    own(root)
    (root / "params.local.yaml").write_text("suites: {mine: {extends: tiny}}\n")
    assert fails("init", "own", "--write") == 2
    assert "by hand:" in capsys.readouterr().err
    assert (root / "params.local.yaml").read_text() == "suites: {mine: {extends: tiny}}\n"


def test_init_says_what_looks_wrong(root, capsys):
    folder = own(root, count=12)
    image = trees.rgb(0, (64, 96))
    for name in ("frame1", "frame2", "frame3", "frame4"):  # all alike, so that some of them lie on both sides
        trees.save(folder / f"images/{name}.png", np.clip(image.astype(int) + len(name), 0, 255).astype(np.uint8))
        trees.save(folder / f"masks/{name}.png", trees.label(0, 3, (64, 96)))
    trees.save(folder / "masks/video0_001.png", np.zeros((64, 96), np.uint8))
    trees.save(folder / "masks/video1_002.png", trees.label(3, 3, (32, 32)))
    noise = np.random.default_rng(0).integers(0, 3, (64, 96), dtype=np.uint8)
    trees.save(folder / "masks/video1_003.png", noise)
    main(["data", "init", "own"])
    told = capsys.readouterr().out
    assert "masks/video1_002.png is 32x32, but its image 96x64" in told
    assert "1 masks hold one class, where most hold several: is an object missing? (video0_001)" in told
    assert "equal to the mask of another image" in told
    assert "1 masks are full of single pixels: were they scaled or compressed? (video1_003)" in told
    assert "of val look like an image that is trained on" in told


def test_init_weighs_the_classes_where_one_is_rare(root, capsys):
    folder = own(root, count=6)
    for number in range(6):
        mask = np.zeros((64, 96), np.uint8)
        mask[:20], mask[30, :20] = 1, 2
        trees.save(folder / f"masks/video{number // 2}_{number:03}.png", mask)
    main(["data", "init", "own", "--write"])
    assert "warning: class 2 below 1 % of the labelled pixels" in capsys.readouterr().out
    criterion = loading.load(suite="own_try").suites["own_try"].recipe.criterion
    assert (criterion.class_weights, criterion.dice) == ("balanced", 0.5)


def test_the_hubs_weights_are_fetched_once_and_their_hash_is_part_of_the_spec(root, capsys, monkeypatch):
    """Without the hash no run is trained."""
    import timm

    from semiseg.models import weights

    state = timm.create_model("resnet18", num_classes=0).state_dict()
    monkeypatch.setattr(weights, "_pretrained", lambda name: state)
    network = {"architecture": "deeplab_v3plus", "encoder": "tu-resnet18.tv_in1k", "encoder_weights": "imagenet"}
    local.write({"suites": {"mine": {"extends": "tiny", "recipe": {"network": network}}}})
    study = Study.load("mine")
    with pytest.raises(UserError, match="tv_in1k's start weights is not known.* `semiseg data weights mine`"):
        study.check_before_training()
    main(["data", "weights", "mine"])
    found = weights.state_sha256(state)
    assert found in capsys.readouterr().out
    study = Study.load("mine")
    study.check_before_training()
    assert {run.config["recipe"]["network"]["encoder_weights_sha256"] for run in study.plan.runs} == {found}
    main(["data", "weights", "tiny"])
    assert "there is nothing to fetch" in capsys.readouterr().out


def test_init_takes_the_encoder_that_a_file_of_weights_belongs_to(root, capsys):
    import timm
    from safetensors.torch import save_file

    from semiseg.base.files import sha256_file
    from semiseg.models.start_weights import LIGHT

    own(root, count=4)
    save_file(timm.create_model("mobilenetv2_100", num_classes=0).state_dict(), "mine.safetensors")
    main(["data", "init", "own", "--write", "--weights", "mine.safetensors"])
    network = loading.load(suite="own_try").suites["own_try"].recipe.network
    assert (network.architecture, network.encoder) == LIGHT
    assert (network.encoder_weights, network.encoder_weights_sha256) == (
        "mine.safetensors",
        sha256_file("mine.safetensors"),
    )
    save_file({"x": torch.zeros(2)}, "other.safetensors")
    assert fails("init", "own", "--weights", "other.safetensors") == 2
    assert "belong to none of the encoders tu-mobilenetv2_100" in capsys.readouterr().err


def test_init_avoids_the_names_of_params_but_its_own(root, capsys):
    own(root, "tiny", 4)
    main(["data", "init", "tiny"])
    assert "--config suite=tiny_2_try`" in capsys.readouterr().out
    content = tiny.params()
    content["datasets"]["tiny_2"] = {"kind": "folder", "data_root": "tiny"}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    main(["data", "init", "tiny/"])
    assert "--config suite=tiny_2_try`" in capsys.readouterr().out
    (root / "params.yaml").write_text("{")
    main(["data", "init", "tiny"])


@pytest.mark.parametrize(
    ("ids", "pattern"),
    [
        (["a/1", "a/2", "b/1", "b/2", "c/1", "c/2"], "^(.+)/"),
        ([f"tile{t}_part{p}" for t in range(3) for p in range(4)], "^(.+)[_-]"),
        ([f"img_{k:03}" for k in range(20)], None),
        ([f"{k:03}" for k in range(20)], None),
        ([f"{k}_photo" for k in range(20)], None),
    ],
)
def test_groups_are_suggested_where_names_show_them(ids, pattern):
    found = suggest_groups(ids)
    assert (found and found[0]) == pattern
