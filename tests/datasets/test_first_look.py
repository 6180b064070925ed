"""What `semiseg data init` says of masks that real tools write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.datasets.checking import check_dataset
from semiseg.datasets.dataset import Sample
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.first_look import class_proposal
from semiseg.datasets.first_look.survey import survey
from semiseg.datasets.reading.classes import read_classes
from tests.datasets import dataset_trees as trees

COLOURS = ((0, 0, 0), (200, 0, 0), (0, 0, 200))


def scaled(folder: Path, number: int) -> Sample:
    """A mask of three colours whose size was changed by an image editor."""
    y, x = np.mgrid[:240, :240]
    large = np.zeros((240, 240, 3), np.uint8)
    large[np.hypot(x - 70 - 3 * number, y - 80) < 60] = COLOURS[1]
    large[np.hypot(x - 160, y - 150) < 55] = COLOURS[2]
    path = folder / f"masks/{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(large).resize((120, 120)).save(path)
    trees.save(folder / f"images/{number}.png", trees.rgb(number, (120, 120)))
    return Sample(id=str(number), image=folder / f"images/{number}.png", mask=path)


def test_colours_between_two_classes_are_no_classes(tmp_path):
    said = []
    proposal = class_proposal.propose([scaled(tmp_path, number) for number in range(4)], said.append)
    assert [str(list(colour)) in proposal for colour in COLOURS] == [True] * 3
    assert proposal.count("name: class") == 3 and "look like smoothed edges" in said[0]


def test_a_rare_class_of_its_own_colour_stays(tmp_path):
    samples = [scaled(tmp_path, number) for number in range(4)]
    mask = np.array(Image.open(samples[0].mask))
    mask[:12, :12] = (0, 200, 0)
    Image.fromarray(mask).save(samples[0].mask)
    proposal = class_proposal.propose(samples, lambda _: None)
    assert "[0, 200, 0]" in proposal and proposal.count("name: class") == 4


@pytest.fixture
def greys(tmp_path) -> DatasetConfig:
    """Masks of the values 0 and 200 whose edges are smoothed, more from image to image."""
    root = tmp_path / "own"
    for number in range(6):
        mask = np.zeros((64, 64), np.uint8)
        mask[20:44, 20:44] = 200
        mask[20:44, 19] = 10 + 10 * number
        trees.save(root / f"images/{number}.png", trees.rgb(number, (64, 64)))
        trees.save(root / f"masks/{number}.png", mask)
    (root / "classes.yaml").write_text(
        "masks: index\nclasses:\n  - {name: soil, value: 0}\n  - {name: crop, value: 200}\n"
    )
    return DatasetConfig(kind="folder", data_root=root, val_share=0.34)


def test_one_tolerance_for_all_masks(greys, tmp_path):
    problems = check_dataset("own", greys, tmp_path / "data")["problems"]
    assert problems[0] == "6 masks hold labels that are no class; `tolerance: 60` suits all of them"
    assert "10 on 24 pixels, nearest 0 (class 0) at distance 10" in " ".join(problems[1:])
    classes = greys.data_root / "classes.yaml"
    classes.write_text(classes.read_text() + "tolerance: 60\n")
    assert check_dataset("own", greys, tmp_path / "data")["problems"] == []


def test_masks_that_cannot_be_read_are_counted(greys):
    root = greys.data_root
    samples = [Sample(id=str(n), image=root / f"images/{n}.png", mask=root / f"masks/{n}.png") for n in range(6)]
    trees.save(samples[0].mask, np.zeros((64, 64), np.uint8))
    remarks = survey(samples, read_classes(root / "classes.yaml"), {"train": samples}).remarks
    assert "and 2 more masks with problems" in remarks
    assert "5 of 6 masks could not be read: the shares of the classes leave them out" in remarks
