"""The choice of images to label next, and the files for labelling."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from semiseg.advice import annotations
from semiseg.advice.ranking import PER_GROUP, Seen, choose
from semiseg.cli import main
from semiseg.datasets.dataset import open_dataset
from semiseg.datasets.reading import polygons
from semiseg.datasets.reading.folder_masks import FolderMasks
from semiseg.datasets.reading.masks import ColourMasks, IndexMasks
from semiseg.params import loading
from tests import tiny
from tests.commands.conftest import train_all


def seen(id_: str, entropy: float, angle: float, group: str | None = None) -> Seen:
    return Seen(id_, Path(id_), group, entropy, None, np.array([np.cos(angle), np.sin(angle)]))


def test_uncertain_images_that_differ_from_each_other_come_first():
    near, other, sure = seen("near", 0.5, 1.0), seen("other", 0.45, 2.5), seen("sure", 0.01, -2.0)
    picks = choose([near, seen("twin", 0.49, 1.01), other, sure], [np.array([1.0, 0.0])], 3)
    assert [one.seen.id for one in picks] == ["other", "near", "sure"]
    assert choose([near, other], [near.feature], 1)[0].seen is other, "like a labelled one"


def test_of_a_group_only_a_few_are_chosen():
    images = [seen(f"a{k}", 0.9, k / 3, "a") for k in range(6)] + [seen("b", 0.01, 3.0, "b"), seen("c", 0.01, 3.1)]
    picks = [one.seen.id for one in choose(images, [], 8)]
    assert sum(name.startswith("a") for name in picks) == PER_GROUP and {"b", "c"} < set(picks)


def test_masks_are_written_as_the_folder_has_them():
    label = np.array([[0, 1], [1, 0]], np.uint8)
    for pixels in (
        IndexMasks(((0, 0), (255, 1), (7, 255))),
        IndexMasks(((1000, 0), (3, 1))),
        ColourMasks((((1, 2, 3), 0), ((200, 0, 0), 1), ((9, 9, 9), 255))),
    ):
        coding = FolderMasks(pixels, ("a", "b"))
        import io

        buffer = io.BytesIO()
        Image.fromarray(coding.encode(label)).save(buffer, "PNG")
        assert np.array_equal(coding.decode(buffer.getvalue(), "mask"), label)


@pytest.mark.parametrize("outside", [0, None])
def test_outlines_draw_the_same_map_again(outside):
    y, x = np.mgrid[:90, :120]
    label = np.zeros((90, 120), np.uint8)
    label[np.hypot(x - 40, y - 45) < 30] = 1
    label[np.hypot(x - 40, y - 45) < 18] = 2
    label[np.hypot(x - 40, y - 45) < 9] = 0  # soil that crop surrounds
    label[20:70, 90:] = 1
    content = annotations.labelme(label, ("soil", "crop", "weed"), "a.jpg", outside)
    drawn = polygons.decode(json.dumps(content).encode(), "a.json", {"soil": 0, "crop": 1, "weed": 2}, 0)
    assert (drawn == label).mean() > 0.985
    assert drawn[45, 40] == 0 and drawn[45, 25] == 2
    assert ("soil" in {one["label"] for one in content["shapes"][:1]}) == (outside is None)


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """A folder of twelve tiny scenes, six of them with a mask, and its one finished run."""
    monkeypatch.chdir(tmp_path)
    tiny.draw(tmp_path / "made", {"train": 12, "val": 1, "test": 1})
    for kind, source in (("images", "JPEGImages"), ("masks", "SegmentationClass")):
        (tmp_path / "own" / kind).mkdir(parents=True)
        for path in sorted((tmp_path / "made" / source).glob("train_*.png"))[: 12 if kind == "images" else 6]:
            shutil.copy(path, tmp_path / "own" / kind)
    (tmp_path / "own/classes.yaml").write_text("[background, square, stripe]")
    content = tiny.params({"mean_teacher": {}}, dataset="own", splits={"family": "full", "partitions": ["full"]},
                          recipe={"iterations": 3}, evaluation={"every": 3, "evaluated_on": "val"})  # fmt: skip
    content |= {"dataset": "own", "datasets": {"own": {"kind": "folder", "data_root": "own"}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    train_all()
    return tmp_path


def test_a_list_a_sheet_and_masks_to_start_from(study, capsys):
    [run] = (study / "results").glob("*/runs/*/*/*/*/seed0")
    main(["advise", "own", "--label", "4", "--run", str(run.relative_to(study)), "--out", "next"])
    listed = (study / "next/next.txt").read_text().split()
    assert len(listed) == len(set(listed)) == 4 and not {Path(one).stem for one in listed} & {
        path.stem for path in (study / "own/masks").iterdir()
    }
    page = (study / "next/gallery/index.html").read_text()
    assert '"listed":true' in page and '"note":"1: entropy' in page and "student and teacher differ on" in page
    # What was written is what the folder's reader takes for masks: pictures and outlines alike.
    for one in listed[:2]:
        shutil.copy(study / f"next/masks/{one}.png", study / "own/masks")
    for one in listed[2:]:
        shutil.copy(study / f"next/labelme/{one}.json", study / "own/masks")
        stored = json.loads((study / f"next/labelme/{one}.json").read_text())
        assert (study / "next/labelme" / stored["imagePath"]).resolve() == study / f"own/images/{one}.png"
    dataset = open_dataset("own", loading.load().datasets["own"])
    samples = [one for name in ("train", "val") for one in dataset.subsets[name]]
    assert len(samples) == 10 and all(dataset.read_mask(one).shape == (32, 32) for one in samples)
    command = ["advise", "own", "--label", "2", "--run", str(run.relative_to(study)), "--out"]
    main([*command, "next"])
    assert "next-1: the earlier choice" in capsys.readouterr().out
    assert (study / "next-1/next.txt").read_text().split() == listed and (study / "next-1/masks").is_dir()
    second = (study / "next/next.txt").read_text().split()
    assert len(second) == 2 and not set(second) & set(listed)
    for kind, suffix in (("masks", "png"), ("labelme", "json"), ("gallery/mask", "png")):
        found = {path.relative_to(study / "next" / kind).as_posix() for path in (study / "next" / kind).rglob("*.*")}
        assert found == {f"{one}.{suffix}" for one in second}, "nothing of the first call is left"
    # Files that no earlier call wrote are never touched.
    (study / "mine/masks").mkdir(parents=True)
    (study / "mine/masks/a.png").write_text("")
    for out in ("mine", "own", "own/masks"):
        with pytest.raises(SystemExit) as left:
            main([*command, out])
        assert left.value.code == 2 and "is not from an earlier `advise --label`" in capsys.readouterr().err
    assert (study / "mine/masks/a.png").exists() and len(list((study / "own/masks").iterdir())) == 10
    (study / "own/images").rename(study / "own/kept")
    (study / "own/images").mkdir()
    for path in (study / "own/masks").iterdir():
        shutil.copy(study / f"own/kept/{path.stem}.png", study / "own/images")
    with pytest.raises(SystemExit):
        main(["advise", "own", "--label", "4", "--run", str(run.relative_to(study))])
    assert "nothing to label" in capsys.readouterr().err
