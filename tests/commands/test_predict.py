"""Prediction for images of every kind and size; bad files do not stop it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from semiseg.cli import main
from semiseg.datasets.reading.images import MAX_PIXELS


@pytest.fixture
def run(finished, monkeypatch) -> Path:
    monkeypatch.chdir(finished[0])
    return finished[1]


def predict(run: Path, images: list[Path] | Path, out: Path, *options: str) -> int:
    """The exit code of the command."""
    listed = images if isinstance(images, list) else [images]
    try:
        main(["predict", str(run), *map(str, listed), "--out", str(out), *options])
    except SystemExit as error:
        return error.code
    return 0


def written(out: Path, kind: str = "index") -> list[str]:
    return sorted(path.relative_to(out / kind).as_posix() for path in (out / kind).rglob("*") if path.is_file())


def noise(path: Path, size: tuple[int, int] = (40, 50), seed: int = 0, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("network", [None, "teacher"])
@pytest.mark.parametrize("batch", ["1", "4"])
def test_the_label_maps_are_those_of_the_evaluation(network, batch, run, tmp_path):
    chosen = ["--network", network] if network else []
    assert predict(run, Path("data/tiny/raw/JPEGImages"), tmp_path, "--confidence", "--batch", batch, *chosen) == 0
    with np.load(run / "predictions.npz") as stored:
        kept = {key.split("/")[0] for key in stored.files}
        assert len(kept) == 5
        for one in kept:
            label = Image.open(tmp_path / f"index/{one}.png")
            assert label.mode == "P"
            assert np.array_equal(np.asarray(label), stored[f"{one}/{network or 'student'}"])
            if network is None:
                sure = np.asarray(Image.open(tmp_path / f"confidence/{one}.png")).astype(int)
                assert abs(sure - stored[f"{one}/confidence"]).max() <= 1
    assert written(tmp_path) == written(tmp_path, "colour") == written(tmp_path, "overlay")
    assert len(written(tmp_path)) == 21


def test_colours_are_the_data_sets_and_the_note_says_what_they_mean(run, tmp_path):
    image = Path("data/tiny/raw/JPEGImages/test_000.png").absolute()
    assert predict(run, image, tmp_path) == 0
    palette = np.array(json.loads(Path("data/tiny/manifest.json").read_text())["palette"])
    index, colour = (np.asarray(Image.open(tmp_path / f"{kind}/test_000.png")) for kind in ("index", "colour"))
    assert np.array_equal(palette[index], colour)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "index/test_000.png").convert("RGB")), colour)
    overlay = np.asarray(Image.open(tmp_path / "overlay/test_000.png")).astype(float)
    assert abs(overlay - (np.asarray(Image.open(image)) / 2 + colour / 2)).max() <= 0.5
    note = json.loads((tmp_path / "predictions.json").read_text())
    assert [one["name"] for one in note["classes"]] == ["background", "square", "stripe"]
    assert note["images"] == {"test_000": str(image)}
    assert (note["network"], note["failures"]) == ("student", {})
    assert not (tmp_path / "confidence").exists()


def test_colours_are_found_from_another_folder_or_their_absence_is_said(run, tmp_path, monkeypatch, capsys):
    image, palette = noise(tmp_path / "1.png"), json.loads(Path("data/tiny/manifest.json").read_text())["palette"]
    there, copy = run.absolute(), shutil.copytree(run, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)

    def colours(folder: Path, out: str) -> list[list[int]]:
        assert predict(folder, image, tmp_path / out) == 0
        return [one["colour"] for one in json.loads((tmp_path / out / "predictions.json").read_text())["classes"]]

    assert colours(there, "there") == palette
    assert "colours: " not in capsys.readouterr().out
    assert len(colours(copy, "copy")) == len(palette)
    assert "colours: those of VOC, because data/tiny/manifest.json" in capsys.readouterr().out


def test_pillow_does_not_warn_of_images_that_we_take(run, tmp_path, monkeypatch, recwarn):
    image = noise(tmp_path / "1.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)  # of 2000: warned of; an error from twice as many
    assert predict(run, image, tmp_path / "out") == 0
    assert Image.DecompressionBombWarning not in [one.category for one in recwarn]


def test_the_page_states_the_largest_image():
    page = (Path(__file__).parents[2] / "docs/own-data.md").read_text()
    side = int(MAX_PIXELS**0.5)
    assert f"{MAX_PIXELS // 10**6} megapixels ({side:,} x {side:,})" in page


def test_every_kind_and_size_of_image(run, tmp_path, capsys):
    images = tmp_path / "images"
    noise(images / "sub/photo.JPG", (20, 60))
    noise(images / "tiny.png", (1, 1))
    noise(images / "thin.webp", (3, 200))
    noise(images / "same.jpg")
    noise(images / "same.png")
    noise(images / "SAME.tif")
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50).save(images / "deep.png")
    Image.new("RGBA", (33, 37), (9, 9, 9, 0)).save(images / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    noise(images / "turned.jpg", (20, 60), exif=turned)
    (images / "notes.txt").write_text("no image")
    (images / ".hidden.png").write_bytes(b"")
    assert predict(run, images, tmp_path / "out") == 0
    assert "1 file of another kind ignored (.txt)" in capsys.readouterr().out
    expected = {
        "SAME.tif.png", "alpha.png", "deep.png", "same.jpg.png", "same.png.png", "sub/photo.png",
        "thin.png", "tiny.png", "turned.png",
    }  # fmt: skip
    assert set(written(tmp_path / "out")) == expected
    sizes = {name: Image.open(tmp_path / "out/index" / name).size for name in expected}
    assert sizes["tiny.png"] == (1, 1)
    assert sizes["thin.png"] == (200, 3)
    assert sizes["turned.png"] == (20, 60)


def test_folders_that_share_names_and_a_file_given_twice(run, tmp_path):
    one, other = noise(tmp_path / "a/1.png", seed=1), noise(tmp_path / "b/1.png", seed=2)
    noise(tmp_path / "a/1.png-2.png", seed=3)
    assert predict(run, [one.parent, other.parent, one], tmp_path / "out") == 0
    images = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert len(images) == 3
    assert set(images.values()) == {str(one), str(other), str(tmp_path / "a/1.png-2.png")}
    assert written(tmp_path / "out") == sorted(f"{name}.png" for name in images)


def test_it_goes_on_after_bad_images_and_lists_them(run, tmp_path, capsys):
    images = tmp_path / "images"
    for number in range(6):
        noise(images / f"{number}.png", seed=number)
    (images / "2.png").write_bytes((images / "2.png").read_bytes()[:300])
    (images / "4.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    assert predict(run, [images, tmp_path / "absent.png"], tmp_path / "out", "--batch", "3") == 1
    assert written(tmp_path / "out") == ["0.png", "1.png", "3.png", "4.png.png", "5.png"]
    told = capsys.readouterr().err
    assert "3 of 8 images have no prediction" in told
    assert all(f"{path} " in told for path in (images / "2.png", images / "4.jpg", tmp_path / "absent.png"))
    assert len(json.loads((tmp_path / "out/predictions.json").read_text())["failures"]) == 3


def test_a_large_image_in_tiles_agrees_with_one_piece(run, tmp_path, monkeypatch):
    from semiseg.inference import predict as predicting

    image = noise(tmp_path / "large.png", (160, 224))
    assert predict(run, image, tmp_path / "whole", "--confidence") == 0
    seen = []
    piece = predicting.Predictor._scores
    monkeypatch.setattr(predicting.Predictor, "_scores", lambda self, x: (seen.append(x.shape[1:3]), piece(self, x))[1])
    for name, value in (("PIECE", 128 * 128), ("TILE", 64), ("MARGIN", 32)):
        monkeypatch.setattr(predicting, name, value)
    assert predict(run, image, tmp_path / "tiled", "--confidence") == 0
    assert len(seen) == 3 * 4
    assert max(h * w for h, w in seen) <= 128 * 128
    whole, tiled = (np.asarray(Image.open(tmp_path / f"{one}/confidence/large.png")) for one in ("whole", "tiled"))
    # The small network sees less far than the margin, so that tiles leave no trace.
    assert abs(whole.astype(int) - tiled).max() <= 1
    whole, tiled = (np.asarray(Image.open(tmp_path / f"{one}/index/large.png")) for one in ("whole", "tiled"))
    assert (whole != tiled).mean() < 1e-3


def test_the_predictions_of_a_former_call_are_no_images(run, tmp_path):
    noise(tmp_path / "1.png")
    assert predict(run, tmp_path, tmp_path / "out") == 0
    assert predict(run, tmp_path, tmp_path / "out") == 0
    assert written(tmp_path / "out") == ["1.png"]


def altered(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "runs/copy"))


def wrong_classes(run: Path) -> None:
    weights = load_file(run / "model.safetensors")
    for name in [name for name in weights if name.startswith("student.head.classifier")]:
        weights[name] = weights[name].repeat(2, *(1,) * (weights[name].ndim - 1)).contiguous()
    save_file(weights, run / "model.safetensors")


def another_width(run: Path) -> None:
    spec = json.loads((run / "spec.json").read_text())
    spec["spec"]["config"]["recipe"]["network"]["width"] = 8
    (run / "spec.json").write_text(json.dumps(spec))


def without_teacher(run: Path) -> None:
    weights = load_file(run / "model.safetensors")
    save_file({k: v for k, v in weights.items() if k.startswith("student")}, run / "model.safetensors")


def with_snapshot(run: Path) -> None:
    weights = {k: v for k, v in load_file(run / "model.safetensors").items() if k.startswith("student")}
    snapshot = {k.replace("student", "snapshot1", 1): v.clone() for k, v in weights.items()}
    save_file(weights | snapshot, run / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (wrong_classes, (), "with 3 classes: head.classifier.bias is 6, expected 3"),
        (another_width, (), "does not fit the run's configuration"),
        (without_teacher, ("--network", "teacher"), "holds no network teacher; choose --network student"),
        (with_snapshot, ("--network", "teacher"), "holds no network teacher; choose --network student\n"),
        (lambda run: (run / "spec.json").unlink(), (), "is not the folder of a finished run"),
        (lambda run: (run / "model.safetensors").unlink(), (), "model.safetensors is missing; restore it"),
        (lambda run: (run / "model.safetensors").write_bytes(b"x" * 99), (), "is damaged"),
    ],
)
def test_a_folder_that_cannot_predict_is_one_sentence(change, options, sentence, run, tmp_path, capsys):
    copy = altered(run, tmp_path)
    change(copy)
    assert predict(copy, noise(tmp_path / "1.png"), tmp_path / "out", *options) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_asked_for(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert predict(run, tmp_path / "empty", tmp_path / "out") == 2
    assert "no image found" in capsys.readouterr().err
    inside = noise(tmp_path / "out/index/1.png")
    before = inside.read_bytes()
    assert predict(run, inside, tmp_path / "out") == 2
    assert "choose another --out" in capsys.readouterr().err
    assert inside.read_bytes() == before
    assert predict(run, inside, tmp_path / "other", "--batch", "0") == 2
    (tmp_path / "file").write_text("")
    assert predict(run, inside, tmp_path / "file/out") == 2
    assert "cannot be written" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other/gallery").write_text("")
    assert predict(run, inside, tmp_path / "other", "--gallery") == 2
    told = capsys.readouterr().err
    assert "gallery/image/1.jpg cannot be written (" in told and told.endswith("choose another --out\n")
    (tmp_path / "other/gallery").unlink()
    (tmp_path / "other/gallery/index.html").mkdir(parents=True)
    assert predict(run, inside, tmp_path / "other", "--gallery") == 2
    assert "gallery/index.html cannot be written (Is a directory); choose another --out" in capsys.readouterr().err
