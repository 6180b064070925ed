"""semiseg.load and semiseg.evaluate, and the notebook that shows them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import semiseg
from semiseg.base.errors import UserError
from tests.commands.conftest import finished  # noqa: F401 - a fixture

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def study(finished, monkeypatch):  # noqa: F811
    root, run = finished
    monkeypatch.chdir(root)
    return root, run


def test_reading_the_version_imports_no_torch():
    code = "import semiseg, sys; semiseg.__version__; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"}, cwd=REPOSITORY).returncode
        == 0
    )
    with pytest.raises(AttributeError):
        _ = semiseg.nothing


def test_an_image_may_be_a_path_an_array_or_of_pillow(study):
    model = semiseg.load(study[1])
    path = study[0] / "data/tiny/raw/JPEGImages/test_000.png"
    label = model.predict(path)
    assert (label.shape, label.dtype, model.classes) == ((32, 32), np.uint8, ("background", "square", "stripe"))
    assert np.array_equal(label, model.predict(np.asarray(Image.open(path))))
    assert np.array_equal(label, model.predict(Image.open(path)))
    grey = np.asarray(Image.open(path).convert("L"))
    assert np.array_equal(model.predict(grey), model.predict(np.repeat(grey[..., None], 3, 2)))
    with pytest.raises(UserError, match="array of float64 and shape"):
        model.predict(np.zeros((32, 32, 3)))


def test_probabilities_sum_to_one_and_agree_with_the_labels_also_in_tiles(study, monkeypatch):
    from semiseg.inference import predict as predicting

    model = semiseg.load(study[1])
    image = np.random.default_rng(0).integers(0, 256, (160, 224, 3), dtype=np.uint8)
    whole = model.predict(image, probabilities=True)
    assert whole.shape == (3, 160, 224) and whole.dtype == np.float32
    assert np.allclose(whole.sum(0), 1, atol=1e-5)
    assert np.array_equal(whole.argmax(0), model.predict(image))
    for name, value in (("PIECE", 128 * 128), ("TILE", 64), ("MARGIN", 32)):
        monkeypatch.setattr(predicting, name, value)
    assert np.allclose(model.predict(image, probabilities=True), whole, atol=1e-3)


def test_evaluate_gives_the_runs_own_score(study, tmp_path):
    root, run = study
    from semiseg.cli import main

    main(["evaluate", str(run)])
    stored = json.loads((run / "eval.json").read_text())
    own = stored["networks"][stored["reported_network"]]["last"]
    raw = root / "data/tiny/raw"
    for kind, source in (("images", "JPEGImages"), ("masks", "SegmentationClass")):
        (tmp_path / kind).mkdir()
        for path in (raw / source).glob("test_*.png"):
            shutil.copy(path, tmp_path / kind)
    (tmp_path / "classes.yaml").write_text("[background, square, stripe]")
    scores = semiseg.evaluate(run, tmp_path)
    assert scores.images == 5
    assert scores.miou == pytest.approx(own["miou"]) and scores.confusion.tolist() == own["confusion"]
    assert list(scores.iou.values()) == pytest.approx(own["per_class"])
    pairs = [(path, np.asarray(Image.open(raw / f"SegmentationClass/{path.name}")))
             for path in sorted((tmp_path / "images").iterdir())]  # fmt: skip
    assert semiseg.evaluate(semiseg.load(run), pairs).miou == pytest.approx(own["miou"])
    with pytest.raises(UserError, match="holds the number 7; classes are 0 to 2"):
        semiseg.evaluate(run, [(pairs[0][0], np.full((32, 32), 7))])
    (tmp_path / "classes.yaml").write_text("[a, b]")
    with pytest.raises(UserError, match="has the classes a, b, the model background, square, stripe"):
        semiseg.evaluate(run, tmp_path)


def test_wrong_arguments_are_one_sentence(study):
    with pytest.raises(UserError, match="the device cuda:99 cannot be used here; choose cpu"):
        semiseg.load(study[1], device="cuda:99")
    with pytest.raises(UserError, match="the device gpu cannot be used here; choose cpu"):
        semiseg.load(study[1], device="gpu")
    model = semiseg.load(study[1], device="cpu")
    with pytest.raises(UserError, match="the data to evaluate on is 3; give a folder with images/"):
        semiseg.evaluate(model, 3)
    with pytest.raises(UserError, match="the data to evaluate on holds int where a pair is needed; give a folder"):
        semiseg.evaluate(model, [3])


def test_the_notebook_runs(study, tmp_path):
    """Every code cell of docs/library.ipynb, in order, in one process with the paths of run and images."""
    notebook = json.loads((REPOSITORY / "docs/library.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 4
    raw = study[0] / "data/tiny/raw"
    (tmp_path / "own").mkdir()
    shutil.copytree(raw / "JPEGImages", tmp_path / "own/images")
    shutil.copytree(raw / "SegmentationClass", tmp_path / "own/masks")
    (tmp_path / "own/classes.yaml").write_text("[background, square, stripe]")
    from semiseg.cli import main

    main(["export", str(study[1]), "--onnx", str(tmp_path / "model.onnx")])
    given = {"RUN": str(study[1]), "FOLDER": str(tmp_path / "own"), "MODEL": str(tmp_path / "model.onnx")}
    assert all(f"{name} = " in cells[0] for name in given)
    names: dict = {}
    for source in cells[:1]:
        exec(compile(source, "docs/library.ipynb", "exec"), names)
    names |= given
    for source in cells[1:]:
        exec(compile(source, "docs/library.ipynb", "exec"), names)
    assert names["label"].shape == (32, 32) and names["scores"].images == 21
    assert np.array_equal(names["found"], names["label"]), "the exported network agrees"


def test_the_page_shows_the_onnx_example_of_the_notebook():
    page = (REPOSITORY / "docs/library.md").read_text()
    notebook = json.loads((REPOSITORY / "docs/library.ipynb").read_text())
    example = next("".join(cell["source"]) for cell in notebook["cells"] if "onnxruntime" in "".join(cell["source"]))
    assert "torch" not in example and len(example.splitlines()) <= 10
    assert example.strip() in page
