"""Exported networks give PyTorch's probabilities, for image sizes that the export never saw."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.cli import main
from semiseg.datasets.get.data_terms import terms_of
from semiseg.inference import export
from semiseg.inference.trained import Trained
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig
from semiseg.report import statistics

onnxruntime = pytest.importorskip("onnxruntime")


def session(path: Path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def test_a_run_as_onnx_labels_as_predict_does(finished, monkeypatch, tmp_path, capsys):
    root, run = finished
    monkeypatch.chdir(root)
    path = tmp_path / "deep/network.onnx"
    main(["export", str(run), "--onnx", str(path)])
    assert "differ from PyTorch's by at most" in capsys.readouterr().out
    image = np.random.default_rng(1).integers(0, 256, (77, 130, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "1.png")
    main(["predict", str(run), str(tmp_path / "1.png"), "--out", str(tmp_path / "out")])
    loaded = session(path)
    probabilities, label = loaded.run(None, {"image": image.transpose(2, 0, 1)[None]})
    assert probabilities.shape == (1, 3, 77, 130)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    predicted = np.asarray(Image.open(tmp_path / "out/index/1.png"))
    top = np.sort(probabilities[0], axis=0)
    clear = top[-1] - top[-2] > 1e-3
    assert clear.mean() > 0.9
    assert np.array_equal(label[0][clear], predicted[clear])
    meaning = loaded.get_modelmeta().custom_metadata_map
    assert json.loads(meaning["classes"]) == ["background", "square", "stripe"]
    assert meaning["network"] == "student"


def test_the_model_card_says_what_was_trained_on_what_and_how_good_it_is(finished, monkeypatch, tmp_path):
    root, run = finished
    monkeypatch.chdir(root)
    main(["export", str(run), "--onnx", str(tmp_path / "network.onnx")])
    few = (tmp_path / "network.md").read_text()
    assert "too few for an interval" in few and re.search(r"\| student \| [\d.]+ \|", few)
    monkeypatch.setattr(statistics, "FEW_UNITS", 2)
    main(["export", str(run), "--onnx", str(tmp_path / "network.onnx")])
    card = (tmp_path / "network.md").read_text()
    _, front, body = card.split("---\n", 2)
    known, scores = yaml.safe_load(front), json.loads((run / "eval.json").read_text())
    [result] = known["model-index"][0]["results"]
    miou = scores["networks"]["student"]["last"]["miou"]
    assert result["metrics"][0]["value"] == round(miou, 2) and result["dataset"]["name"] == "tiny"
    assert known["pipeline_tag"] == "image-segmentation" and known["license"] == "other"
    low, high = map(float, re.search(rf"\| student \| {miou:.1f} \[([\d.]+), ([\d.]+)\] \|", body).groups())
    assert low < miou < high <= 100
    hashes = json.loads((run / "record.json").read_text())["hashes"]
    assert hashes["data"] in body and hashes["split"] in body and "background, square, stripe" in body
    assert f"terms of the data: {terms_of('pocket')}; start weights have terms of their own" in body
    for title in ("Data", "Metrics", "Intended use", "Limits", "Provenance"):
        assert f"## {title}\n" in body


def untrained(config: dict, head: str = "pixel") -> Trained:
    torch.manual_seed(0)
    chosen = NetworkConfig(**config)
    network = networks.build(chosen, 5, head).eval()
    recipe = {"network": chosen.model_dump(mode="json")}
    return Trained(Path("run"), "0" * 64, "student", network, {"recipe": recipe}, tuple("abcde"), ((0, 0, 0),) * 5)


@pytest.mark.parametrize(
    ("config", "head"),
    [
        ({"architecture": "small"}, "mask"),
        ({"architecture": "deeplab_v3plus", "encoder": "tu-mobilenetv3_small_050"}, "pixel"),
        ({"architecture": "unet", "encoder": "tu-mobilenetv3_small_050"}, "pixel"),
        ({"architecture": "dpt", "encoder": "tiny_vit"}, "pixel"),
        ({"architecture": "dpt", "encoder": "tiny_vit"}, "mask"),
    ],
    ids=["mask head", "deeplab_v3plus", "unet", "dpt", "dpt with a mask head"],
)
def test_other_networks(config, head, tmp_path):
    trained = untrained(config, head)
    if config["architecture"] == "dpt":  # fresh position embeddings are next to nothing
        torch.nn.init.normal_(trained.network.encoder.body.pos_embed)
    for size, difference in export.export(trained, tmp_path / "network.onnx"):
        assert difference < 1e-4, size
    # A third size, larger than those that `export` compares itself.
    image = export._image((1, 211, 133))
    with torch.inference_mode():
        expected = export.Deployed(trained.network)(torch.from_numpy(image))[0].numpy()
    found = session(tmp_path / "network.onnx").run(None, {"image": image})[0]
    assert abs(found - expected).max() < 1e-4
    assert expected.std() > 1e-3


def test_a_difference_is_noticed_and_nothing_written(monkeypatch, tmp_path):
    true = export._run
    monkeypatch.setattr(export, "_run", lambda *given: [[p + 0.01, label] for p, label in true(*given)])
    with pytest.raises(UserError, match="other probabilities than PyTorch"):
        export.export(untrained({"architecture": "small", "width": 4}), tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


REFUSED = {
    "pspnet": "adaptive_avg_pool2d",
    "upernet": "adaptive_avg_pool2d",
    "segformer": "for 129x97 pixels its probabilities are 128x96",
    "pan": "size",
}


@pytest.mark.parametrize("architecture", REFUSED)
def test_what_cannot_be_exported_is_one_sentence(architecture, tmp_path, capfd):
    trained = untrained({"architecture": architecture, "encoder": "tu-mobilenetv3_small_050"})
    with pytest.raises(UserError, match=rf"{architecture} cannot be exported to ONNX \(.*{REFUSED[architecture]}"):
        export.export(trained, tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().out == ""  # no dump of the graph


def test_the_page_names_what_cannot_be_exported():
    page = (Path(__file__).parents[2] / "docs/own-data.md").read_text()
    (listed,) = re.findall(r"^(.*) cannot be exported", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", listed)) == set(REFUSED)


def test_a_run_that_is_not_finished(finished, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(finished[0])
    copy = Path(shutil.copytree(finished[1], tmp_path / "runs/copy"))
    (copy / "spec.json").unlink()
    with pytest.raises(SystemExit) as caught:
        main(["export", str(copy), "--onnx", str(tmp_path / "network.onnx")])
    assert caught.value.code == 2
    assert "is not the folder of a finished run" in capsys.readouterr().err


def refused(run: Path, path: Path, capsys) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["export", str(run), "--onnx", str(path)])
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    return told


def test_the_model_card_replaces_neither_the_network_nor_a_file_of_the_user(finished, monkeypatch, tmp_path, capsys):
    root, run = finished
    monkeypatch.chdir(root)
    for name in ("x.md", "x", "x.ONNX"):
        assert "must end in .onnx, as in network.onnx" in refused(run, tmp_path / name, capsys)
    assert list(tmp_path.iterdir()) == []
    own = tmp_path / "README.md"
    for text in ("# My fields\n", "---\nlibrary_name: onnx\n---\n## Provenance\n"):
        own.write_text(text)
        assert "README.md is no model card" in refused(run, tmp_path / "README.onnx", capsys)
        assert own.read_text() == text and list(tmp_path.iterdir()) == [own]
    own.unlink()
    for _ in range(2):  # the second call replaces the card of the first one
        main(["export", str(run), "--onnx", str(tmp_path / "README.onnx")])
    assert own.read_text().startswith("---\nlibrary_name: onnx\n")


def test_a_place_that_cannot_be_written_is_one_sentence(finished, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(finished[0])
    (tmp_path / "folder.onnx").mkdir()
    told = refused(finished[1], tmp_path / "folder.onnx", capsys)
    assert "folder.onnx cannot be written (Is a directory); choose another --onnx" in told
    (tmp_path / "file").write_text("")
    assert "cannot be written (" in refused(finished[1], tmp_path / "file/network.onnx", capsys)
