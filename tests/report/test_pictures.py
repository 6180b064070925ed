from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from semiseg.report import html, pictures, tables
from tests.report import studies
from tests.report.studies import DATASET

LABEL = np.array([[0, 1, 255], [2, 1, 0]], dtype=np.uint8)


class Fake:
    def __init__(self, method, network="student"):
        self.method, self.network, self.head, self.seed = method, network, "pixel", 0


def test_worst_median_and_best_are_chosen_by_the_difference_to_supervised():
    """Methods turn more and more of image i right, whose supervised prediction is always half right."""
    labels = {f"i{i}": (None, np.zeros((1, 10), np.uint8)) for i in range(5)}
    right = {"i0": 3, "i1": 9, "i2": 0, "i3": 10, "i4": 5}

    def map_of(correct):
        return (np.arange(10)[None] >= correct).astype(np.uint8)

    predictions = {
        "Supervised": {f"{image}/student": map_of(5) for image in labels},
        "UniMatch": {f"{image}/student": map_of(right[image]) for image in labels},
    }
    runs = {"Supervised": Fake("supervised"), "UniMatch": Fake("unimatch")}
    chosen = pictures.choose(labels, runs, predictions, 2)
    assert [image for image, _ in chosen] == ["i2", "i4", "i3"]
    assert "smallest gain of 5 images" in chosen[0][1] and "+0.0 points" in chosen[1][1] and "largest" in chosen[2][1]


def test_one_image_has_all_three_reasons_and_stands_once():
    predictions = {"Supervised": {"a/teacher": LABEL}, "iMAS": {"a/teacher": LABEL}}
    runs = {"Supervised": Fake("supervised"), "iMAS": Fake("imas", "teacher")}
    [(image, reason)] = pictures.choose({"a": (None, LABEL)}, runs, predictions, 3)
    assert image == "a" and "smallest gain and median gain and largest gain" in reason


def test_error_map_by_hand():
    prediction = np.array([[0, 2, 1], [2, 1, 1]], dtype=np.uint8)
    assert pictures.errors(prediction, LABEL).tolist() == [[0, 1, 2], [0, 0, 1]]


def test_label_maps_survive_as_indexed_pictures(tmp_path):
    palette = np.array(pictures.palette_of(DATASET), dtype=np.uint8)
    pictures.write_labels(tmp_path / "label.png", LABEL, palette)
    with Image.open(tmp_path / "label.png") as picture:
        assert picture.mode == "P" and np.array_equal(np.array(picture), LABEL)
        assert (
            picture.convert("RGB").getpixel((1, 0)) == (128, 0, 0)
            and picture.convert("RGB").getpixel((2, 0)) == (255,) * 3
        )


def test_a_data_set_without_colours_of_its_own_has_vocs():
    names = tuple("abcde")
    vocs = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert pictures.palette_of({"classes": names}) == vocs
    own = [[index, 0, 9] for index in range(5)]
    assert pictures.palette_of({"classes": names, "palette": own}) == own


def test_the_viewer_has_every_view_of_every_method(report):
    made = sorted(path.name for path in (report / "report" / "pictures").iterdir())
    views = {name.rsplit("-", 1)[1] for name in made}
    assert views == {"image.png", "truth.png", "prediction.png", "errors.png", "confidence.png"}
    assert len([name for name in made if name.endswith("image.png")]) == 3


@pytest.mark.parametrize(("local", "expected"), [(False, 0), (True, 3)])
def test_data_that_may_not_be_redistributed_is_shown_locally_only(tmp_path, local, expected):
    planned = studies.descriptions(seeds=1, ablations=False, partitions={"12": 12})
    rows = studies.simulate(tmp_path, planned, images=6)
    tables.build("pocket", tmp_path, rows)
    dataset = DATASET | {"redistributable": False}
    html.build("pocket", tmp_path, rows, dataset=dataset, read_image=studies.read_image, local_pictures=local)
    assert not list((tmp_path / "report").rglob("*-image.png"))
    folder = tmp_path / ("local-report" if local else "report")
    assert len(list(folder.rglob("*-image.png"))) == expected
    said = "may not be redistributed" in (folder / "pictures.html").read_text()
    assert said == (not local)
